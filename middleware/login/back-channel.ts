import { ProviderRejected, ProviderUnavailable } from '../provider/errors.ts'
import type { LogoutToken, Provider } from '../provider/types.ts'
import type { Answer, BrowserRequest, LiveSession } from '../types.ts'
import type { LoginDeps } from './deps.ts'
import { addressLimit } from './rate-limit.ts'
import { noteSignedOut } from './ended-meanwhile.ts'

/** A logout token lives two minutes at most by the specification; its `jti` is remembered for longer than any clock is off. */
const REMEMBER_AT_LEAST_MS = 10 * 60_000

/**
 * `POST /auth/backchannel-logout` (OpenID Connect Back-Channel Logout 1.0): the provider ends sessions here, by `sid` (every
 * session with it) or by `sub`. 200 when done, also when there was nothing to end; 400 for a token that does not hold, a
 * replayed one included. The sessions are ended before the answer; revocation at the provider follows in the background, since
 * the provider waits for us before it redirects its user.
 */
export async function backChannelLogout(r: BrowserRequest, deps: LoginDeps): Promise<Answer> {
  const count = addressLimit(r, deps.now.settings.limits.backchannelLogout, deps.emit)
  const wait = deps.limiter.check(`backchannel|${count.key}`, count.limit)
  if (wait !== undefined) return deps.errorAnswer({ code: 'RATE_LIMITED', retryAfterS: wait }, r)
  const jwt = r.body.get('logout_token')
  if (jwt === undefined || !/^application\/x-www-form-urlencoded/i.test(r.contentType))
    return refuse(r, deps, 'no logout_token in a form')
  const verified = await verify(jwt, deps)
  if (verified === 'down') return deps.errorAnswer({ code: 'PROVIDER_UNAVAILABLE', retryAfterS: 2 }, r)
  if (typeof verified === 'string') return refuse(r, deps, verified)
  const { token } = verified
  const life = Math.max(REMEMBER_AT_LEAST_MS, token.expS * 1000 - deps.clock.wallMs() + REMEMBER_AT_LEAST_MS)
  const mark = `logout|${token.issuer}|${token.jti}`
  const first = await deps.sessions.once(mark, life).catch(async (e: unknown) => {
    // A full store takes no mark and still lets go of sessions: they end, and the 503 makes the provider say it again.
    await endFound(token, r, deps).catch(() => undefined)
    throw e
  })
  if (!first) return refuse(r, deps, 'jti was used before')
  try {
    await endSessionsOf(token, r, deps)
  } catch (e) {
    // The provider is told 503 and tries again with the same token: a replay it must not be.
    await deps.sessions.forget(mark).catch(() => undefined)
    throw e
  }
  return {
    status: 200,
    headers: [
      ['Cache-Control', 'no-store'],
      ['Content-Length', '0'],
    ],
  }
}

async function endSessionsOf(token: LogoutToken, r: BrowserRequest, deps: LoginDeps): Promise<void> {
  // First, so that a sign-in which opens its session just now sees it.
  await noteSignedOut(token, deps)
  await endFound(token, r, deps)
}

async function endFound(token: LogoutToken, r: BrowserRequest, deps: LoginDeps): Promise<void> {
  const sessions = await sessionsOf(token, deps)
  if (sessions.length > 0)
    await deps.ender.end(
      sessions.map((s) => s.id),
      'backchannel_logout',
      r,
    )
}

/** The provider whose token it is; a text says why it holds for none. */
async function verify(
  jwt: string,
  deps: LoginDeps,
): Promise<{ readonly token: LogoutToken; readonly provider: Provider } | string> {
  let why = 'of no provider of ours'
  for (const provider of deps.providers.values()) {
    try {
      return { token: await provider.verifyLogoutToken(jwt), provider }
    } catch (e) {
      if (e instanceof ProviderUnavailable) why = 'down'
      else if (!(e instanceof ProviderRejected)) throw e
      else if (why !== 'down') why = e.message
    }
  }
  return why
}

async function sessionsOf(t: LogoutToken, deps: LoginDeps): Promise<readonly LiveSession[]> {
  if (t.sid !== undefined) {
    const found = await deps.sessions.find({ issuer: t.issuer, sid: t.sid })
    // A token that names both means this user's sessions of that sid.
    return t.sub === undefined ? found : found.filter((s) => s.record.sub === t.sub)
  }
  return t.sub === undefined ? [] : deps.sessions.find({ issuer: t.issuer, sub: t.sub })
}

function refuse(r: BrowserRequest, deps: LoginDeps, why: string): Answer {
  deps.emit({
    name: 'request_refused',
    correlationId: r.correlationId,
    fields: { code: 'BAD_REQUEST', why: `back-channel logout: ${why}`, path: r.path },
  })
  // §2.8: 400 with an OAuth-style error; no-store, as the answer to a token.
  const body = JSON.stringify({ error: 'invalid_request', error_description: 'the logout token does not hold' })
  return {
    status: 400,
    headers: [
      ['Content-Type', 'application/json'],
      ['Cache-Control', 'no-store'],
      ['X-BFF-Error', 'BAD_REQUEST'],
      ['Content-Length', String(Buffer.byteLength(body))],
    ],
    body,
  }
}
