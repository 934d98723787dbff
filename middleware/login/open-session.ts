import { signedInAt } from '../provider/auth-age.ts'
import type { LoginResult, Provider } from '../provider/types.ts'
import { readSessionCookie } from '../session/cookie.ts'
import { CSRF_COOKIE, makeCsrfToken } from '../session/csrf.ts'
import { handleOf, newSessionId } from '../session/handle.ts'
import { SCHEMA_VERSION } from '../session/serialize.ts'
import type { Answer, BrowserRequest, EpochMs, LiveSession, NewSession, SessionId, SessionRecord } from '../types.ts'
import { LOGIN_TOKEN } from '../types.ts'
import { distinctCookies, redirect, type LoginDeps, type SaveRecord } from './deps.ts'
import { wasSignedOutSince } from './ended-meanwhile.ts'
import { loginToken } from './granted.ts'

/** How long the first requests after login may wait for tokens to be fetched ahead; the rest goes on in the background. */
const WARM_UP_MS = 1500

export type GrantedLogin = Omit<LoginResult, 'idToken' | 'claims'> & Partial<Pick<LoginResult, 'idToken' | 'claims'>>

export interface SignedIn {
  readonly provider: Provider
  /** Without an id token after an extension grant whose provider gives none. */
  readonly result: GrantedLogin
  readonly returnTo: string
  /** When it was begun. */
  readonly began: EpochMs
  /** The `max_age` that this sign-in was asked for. */
  readonly maxAgeS?: number
}

/**
 * A new session with a new id, whatever cookie the browser brought (fixation, GHSA-f24x): state and tokens first, then the
 * record, which makes it live; then the one it replaces ends. Answers the cookies to set beside express-session's, or that
 * the provider signed the user out while the sign-in was under way.
 */
export async function createSession(
  r: BrowserRequest,
  deps: LoginDeps,
  s: Omit<SignedIn, 'returnTo'>,
  save: SaveRecord,
): Promise<string[] | 'signed_out'> {
  const id = newSessionId(deps.random)
  const fresh = newSession(id, r, deps, s)
  await deps.sessions.open(id, fresh)
  await save(id, fresh.record)
  if (await wasSignedOutSince(s.began, { ...fresh.record, authTimeMs: fresh.state.authTime }, deps)) {
    await deps.ender.end([id], 'backchannel_logout', r)
    return 'signed_out'
  }
  await endReplaced(r, deps)
  const { issuer, sub } = s.result
  deps.emit({
    name: 'login_ok',
    correlationId: r.correlationId,
    fields: { issuer, sub, session: fresh.record.handle, client_ip: r.clientIp },
  })
  await warmUp(id, r, deps)
  return [csrfCookie(id, deps)]
}

/** The same after a redirect through the provider: on to where the person was going. */
export async function openSession(
  r: BrowserRequest,
  deps: LoginDeps,
  s: SignedIn,
  save: SaveRecord,
): Promise<Answer | 'signed_out'> {
  const cookies = await createSession(r, deps, s, save)
  return cookies === 'signed_out' ? cookies : redirect(s.returnTo, cookies)
}

function newSession(
  id: SessionId,
  r: BrowserRequest,
  deps: LoginDeps,
  { provider, result, maxAgeS }: Omit<SignedIn, 'returnTo'>,
): NewSession {
  // Never before a revokeAll that a server with a faster clock has named: it would not be live.
  const now = Math.max(deps.clock.wallMs(), deps.sessions.revokedBefore() + 1) as EpochMs
  // An extension grant is itself the sign-in, so without claims of the provider's it is of now.
  const at = result.claims === undefined ? now : signedInAt(result.claims, now, maxAgeS)
  const record: SessionRecord = {
    v: SCHEMA_VERSION,
    handle: handleOf(id),
    provider: provider.settings.name,
    issuer: result.issuer,
    sub: result.sub,
    ...(result.sid === undefined ? {} : { sid: result.sid }),
    origin: r.origin,
    createdAt: now,
    expiresAt: (now + deps.now.settings.session.absoluteTimeoutMs) as EpochMs,
    ip: r.clientIp,
    userAgent: r.userAgent.slice(0, 300),
  }
  return {
    record,
    state: {
      identity: result.identity,
      authTime: (result.authTimeS * 1000) as EpochMs,
      ...(at === undefined ? {} : { signedInAt: at }),
      ...(result.acr === undefined ? {} : { acr: result.acr }),
      scopes: result.scopes,
      failed: [],
    },
    refreshToken: result.refreshToken,
    idToken: result.idToken,
    tokens: [loginToken(LOGIN_TOKEN, result, now, deps.random)],
  }
}

/** Sessions whose cookie this sign-in overwrites: nobody could end them any more. */
async function endReplaced(r: BrowserRequest, deps: LoginDeps): Promise<void> {
  const ids = distinctCookies(r, deps.now)
    .map((value) => readSessionCookie(value, deps.cookies.session))
    .filter((id) => id !== undefined)
  if (ids.length > 0) await deps.ender.end(ids, 'replaced', r)
}

async function warmUp(id: SessionId, r: BrowserRequest, deps: LoginDeps): Promise<void> {
  if (deps.now.settings.tokens.warmUp !== 'login') return
  const session: LiveSession | undefined = await deps.sessions.load(id)
  if (session === undefined) return
  const stop = new AbortController()
  await Promise.race([deps.broker.warmUp(session, r.correlationId), deps.clock.sleep(WARM_UP_MS, stop.signal)]).catch(
    () => undefined,
  )
  stop.abort()
}

/** Readable by the SPA, and of this host alone: it is worth nothing without the session cookie. */
export function csrfCookie(id: SessionId, deps: Pick<LoginDeps, 'cookies' | 'random'>): string {
  const key = deps.cookies.csrf[0]
  if (key === undefined) throw new Error('no CSRF key')
  return `${CSRF_COOKIE}=${makeCsrfToken(id, key, deps.random)}; Path=/; SameSite=Lax; Secure`
}
