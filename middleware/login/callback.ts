import { timingSafeEqual } from 'node:crypto'
import { PROVIDER_ERRORS } from '../decision.ts'
import { isTooOld } from '../provider/auth-age.ts'
import { ProviderRejected, ProviderUnavailable } from '../provider/errors.ts'
import { wantedClaims } from '../identity/wanted-claims.ts'
import type { LoginResult, Provider } from '../provider/types.ts'
import type { Answer, BrowserRequest, LoginCode } from '../types.ts'
import {
  ATTEMPT_LIFE_MS,
  MAX_ATTEMPTS,
  USED,
  attemptCookie,
  attemptPlace,
  deriveAttempt,
  openAttempt,
  type Attempt,
  type Derived,
} from './attempt.ts'
import { callbackPath, loginOrigin, loginUrl, ownCallbackPath, providerParam } from './addresses.ts'
import { redirect, setCookies, withHeaders, type LoginDeps, type SaveRecord } from './deps.ts'
import { maySignIn } from './granted.ts'
import { openSession } from './open-session.ts'
import { addressLimit } from './rate-limit.ts'
import { resourcesAtLogin } from './resources.ts'
import { tooMany } from './start.ts'

interface Found {
  readonly attempt: Attempt
  readonly derived: Derived
  readonly provider: Provider
  /** As the attempt began with it: the token endpoint wants the same (RFC 6749 §4.1.3). */
  readonly redirectUri: string
}

/**
 * `GET /auth/callback`. Everything that can be checked is checked before the code is redeemed: that this browser began
 * this sign-in, here, lately, once, and that the answer is the asked provider's (RFC 9207).
 */
export async function finishLogin(r: BrowserRequest, deps: LoginDeps, save: SaveRecord): Promise<Answer> {
  const count = addressLimit(r, deps.now.settings.limits.callback, deps.emit)
  const wait = deps.limiter.check(`callback|${count.key}`, count.limit)
  if (wait !== undefined) return tooMany(r, deps, wait)
  const found = findAttempt(r, deps)
  if (typeof found === 'string') return refuse(found, r, deps)
  try {
    const answer = await proceed(r, deps, found, save)
    return withHeaders(answer, setCookies(forgetAttempts(r, deps, found.derived.name)))
  } catch (e) {
    if (e instanceof ProviderUnavailable) return fail(r, deps, 'PROVIDER_UNAVAILABLE', found, e.retryAfterS)
    throw e
  }
}

async function proceed(r: BrowserRequest, deps: LoginDeps, found: Found, save: SaveRecord): Promise<Answer> {
  if (!(await isFromProvider(r, deps, found))) return fail(r, deps, 'LOGIN_ISSUER_MISMATCH', found)
  const error = r.query.get('error')
  if (error !== null) return fail(r, deps, PROVIDER_ERRORS.get(error) ?? 'PROVIDER_ERROR', found)
  if (r.query.getAll('code').length !== 1) return fail(r, deps, 'LOGIN_FAILED', found)
  // Only where there is something to redeem: anybody can make an error of a sign-in of their own, and each mark is stored.
  if (!(await deps.sessions.once(`login|${found.derived.state}`, ATTEMPT_LIFE_MS)))
    return fail(r, deps, 'LOGIN_REPLAYED', found)
  const result = await redeem(r, deps, found)
  if (result === 'wants_resource') return redirect(restartUrl(deps, found), [])
  if (typeof result === 'string') return fail(r, deps, result, found)
  if (!maySignIn(found.provider.settings.require, result.identity, deps.now.settings.identity.groupsClaim))
    return refuseAccount(r, deps, found, result)
  if (isInsufficient(found.attempt, result)) return fail(r, deps, 'STEP_UP_REQUIRED', found)
  const { startedAt: began, returnTo, maxAgeS } = found.attempt
  const signedIn = { provider: found.provider, result, returnTo, began, ...(maxAgeS === undefined ? {} : { maxAgeS }) }
  const opened = await openSession(r, deps, signedIn, save)
  return opened === 'signed_out' ? fail(r, deps, 'LOGIN_EXPIRED', found) : opened
}

/**
 * That the answer came from the provider that was asked: by `iss` (RFC 9207 §2.4), or at a callback of its own. Where several
 * providers share a callback, one that says nothing of itself could be any of them (RFC 9700 §4.4.2).
 */
async function isFromProvider(r: BrowserRequest, deps: LoginDeps, { provider, redirectUri }: Found): Promise<boolean> {
  if (new URL(redirectUri).pathname !== pathOf(r)) return false
  if ((await provider.checkCallbackIssuer(r.query)) !== 'ok') return false
  if (deps.providers.size === 1 || pathOf(r) !== callbackPath(deps.now)) return true
  return provider.announcesIss()
}

/** Express takes a slash more at the end; the registered address has none. */
const pathOf = (r: BrowserRequest): string => r.path.replace(/\/$/, '')

function findAttempt(r: BrowserRequest, deps: LoginDeps): Found | LoginCode {
  const states = r.query.getAll('state')
  const state = states[0]
  if (state === undefined || states.length !== 1 || !/^[\w-]{43}$/.test(state)) return 'LOGIN_UNKNOWN'
  if (loginOrigin(r.origin, deps.now) !== r.origin) return 'LOGIN_UNKNOWN'
  const values = r.cookies.get(attemptPlace(deps.now.settings).prefix + state.slice(0, 10)) ?? []
  if (values.includes(USED)) return 'LOGIN_REPLAYED'
  for (const value of values) {
    const opened = openAttempt(value, deps.attemptKeys)
    const provider = opened === undefined ? undefined : deps.providers.get(opened.attempt.provider)
    if (opened === undefined || provider === undefined) continue
    const begun = deriveAs(state, opened, provider, r.origin, deps)
    if (begun === undefined) continue
    const age = deps.clock.wallMs() - opened.attempt.startedAt
    return age > ATTEMPT_LIFE_MS || age < -60_000 ? 'LOGIN_EXPIRED' : { attempt: opened.attempt, provider, ...begun }
  }
  return 'LOGIN_UNKNOWN'
}

/** The callback that the attempt began with, shared or the provider's own: the state that came fits just one. */
function deriveAs(
  state: string,
  { attempt, key }: { readonly attempt: Attempt; readonly key: Buffer },
  { settings: { issuer, client, name } }: Provider,
  origin: string,
  deps: LoginDeps,
): Pick<Found, 'derived' | 'redirectUri'> | undefined {
  for (const path of [callbackPath(deps.now), ownCallbackPath(name, deps.now)]) {
    const redirectUri = origin + path
    const at = { issuer: issuer.href, clientId: client.clientId, redirectUri }
    const derived = deriveAttempt(attempt.random, key, at)
    if (timingSafeEqual(Buffer.from(derived.state), Buffer.from(state))) return { derived, redirectUri }
  }
  return undefined
}

async function redeem(
  r: BrowserRequest,
  deps: LoginDeps,
  found: Found,
): Promise<LoginResult | LoginCode | 'wants_resource'> {
  const uri = found.redirectUri
  const callbackUrl = new URL(uri)
  callbackUrl.search = r.query.toString()
  const { state, nonce, codeVerifier } = found.derived
  const { name } = found.provider.settings
  const resource = deps.codeWantsResource.has(name) ? resourcesAtLogin(deps.now.settings)[0] : undefined
  try {
    return await found.provider.redeem({
      callbackUrl,
      redirectUri: uri,
      state,
      nonce,
      codeVerifier,
      wantedClaims: wantedClaims(deps.now.settings, found.provider.settings),
      ...(resource === undefined ? {} : { resource }),
    })
  } catch (e) {
    if (!(e instanceof ProviderRejected)) throw e
    deps.emit({
      name: 'token_request_failed',
      correlationId: r.correlationId,
      fields: { service: 'login', stage: e.stage, error: e.code, detail: e.message },
    })
    if (e.code === 'invalid_target' && resource === undefined && resourcesAtLogin(deps.now.settings).length > 0) {
      // RFC 8707 §2.2: some want one of the granted resources named with the code. The code is spent, so ask for another.
      deps.codeWantsResource.add(name)
      return 'wants_resource'
    }
    return e.code === 'unsupported_grant_type' ? 'UNSUPPORTED_GRANT_TYPE' : 'LOGIN_FAILED'
  }
}

/** The same sign-in again, with all that it was asked for: a step-up that failed once is still one. */
function restartUrl(deps: LoginDeps, { attempt, redirectUri }: Found): string {
  return loginUrl(new URL(redirectUri).origin, deps.now, {
    return_to: attempt.returnTo,
    ...(attempt.acrValues === undefined ? {} : { acr_values: attempt.acrValues }),
    ...(attempt.maxAgeS === undefined ? {} : { max_age: String(attempt.maxAgeS) }),
    ...providerParam(deps.now, attempt.provider),
  })
}

/** RFC 9470 §4: a provider may answer with less than was asked for. Coming back with it would ask again, for ever. */
function isInsufficient(a: Attempt, result: LoginResult): boolean {
  if (a.acrValues !== undefined && !a.acrValues.split(' ').includes(result.acr ?? '')) return true
  return a.maxAgeS !== undefined && isTooOld(result.claims, a.maxAgeS)
}

/** What the provider gave to an account that may not sign in is given back. */
function refuseAccount(r: BrowserRequest, deps: LoginDeps, found: Found, result: LoginResult): Answer {
  if (result.refreshToken !== undefined) void found.provider.revoke(result.refreshToken, 'refresh_token')
  deps.emit({
    name: 'login_failed',
    correlationId: r.correlationId,
    fields: { code: 'LOGIN_NOT_ALLOWED', issuer: result.issuer, sub: result.sub, client_ip: r.clientIp },
  })
  const email = result.identity['email']
  const again = `${deps.now.settings.server.basePath}/login?prompt=select_account`
  return deps.errorAnswer(
    { code: 'LOGIN_NOT_ALLOWED', who: typeof email === 'string' ? email : result.sub, tryAgainUrl: again },
    r,
  )
}

/** No attempt of this browser's: nothing is known but that it must start again. */
function refuse(code: LoginCode, r: BrowserRequest, deps: LoginDeps): Answer {
  deps.emit({ name: 'login_failed', correlationId: r.correlationId, fields: { code, client_ip: r.clientIp } })
  return deps.errorAnswer({ code, tryAgainUrl: loginUrl(r.origin, deps.now) }, r)
}

function fail(
  r: BrowserRequest,
  deps: LoginDeps,
  code: LoginCode | 'PROVIDER_UNAVAILABLE' | 'STEP_UP_REQUIRED',
  found: Found,
  retryAfterS?: number,
): Answer {
  deps.emit({
    name: 'login_failed',
    correlationId: r.correlationId,
    fields: { code, issuer: found.provider.issuer(), client_ip: r.clientIp },
  })
  const tryAgainUrl = restartUrl(deps, found)
  const wait = retryAfterS ?? (code === 'TEMPORARILY_UNAVAILABLE' ? 5 : undefined)
  const info = code === 'STEP_UP_REQUIRED' ? { code, status: 403 } : { code, tryAgainUrl }
  return deps.errorAnswer(wait === undefined ? info : { ...info, retryAfterS: wait }, r)
}

/** The finished attempt leaves a mark, so that going back gets the right page; more than five at once lose the rest. */
function forgetAttempts(r: BrowserRequest, deps: LoginDeps, name: string): string[] {
  const { prefix, index, callbackPath: place } = attemptPlace(deps.now.settings)
  const others = [...r.cookies.keys()].filter((k) => k.startsWith(prefix) && k !== index && k !== prefix + name)
  const surplus = others.slice(0, Math.max(0, others.length - (MAX_ATTEMPTS - 1))).slice(0, 20)
  return [
    attemptCookie(prefix + name, USED, place, ATTEMPT_LIFE_MS / 1000),
    ...surplus.filter((k) => /^[\w-]+$/.test(k)).map((k) => attemptCookie(k, '', place, 0)),
  ]
}
