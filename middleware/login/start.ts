import { judgeCookie } from './current-session.ts'
import { ProviderUnavailable } from '../provider/errors.ts'
import type { Provider } from '../provider/types.ts'
import { expireCookies } from '../session/expire-cookies.ts'
import type { Answer, BrowserRequest, LiveSession } from '../types.ts'
import { callbackPathOf, loginOrigin, loginUrl } from './addresses.ts'
import { attemptPlace, deriveAttempt, sealAttempt, startCookies, type Attempt } from './attempt.ts'
import { decideProvider, offerProviders } from './choose.ts'
import { distinctCookies, redirect, type LoginDeps } from './deps.ts'
import { addressLimit } from './rate-limit.ts'
import { resourcesAtLogin } from './resources.ts'
import { parseReturnTo } from './return-to.ts'

/** Parameters of ours that go on to the provider, and what they may look like. */
const PASSED: Readonly<Record<string, RegExp>> = {
  prompt: /^(?:none|(?:login|consent|select_account)(?: (?:login|consent|select_account))*)$/,
  acr_values: /^[\x21-\x7e]{1,200}(?: [\x21-\x7e]{1,200}){0,4}$/,
  max_age: /^\d{1,8}$/,
  login_hint: /^[\x20-\x7e]{1,200}$/,
  ui_locales: /^[A-Za-z0-9-]{1,35}(?: [A-Za-z0-9-]{1,35}){0,9}$/,
}

/**
 * `GET /auth/login`: off to the provider, by way of the login host and of a choice of providers where there are such. Nothing
 * is written to the store: what must survive the way is in a signed, HttpOnly cookie, and state, nonce and verifier are
 * derived from it.
 */
export async function startLogin(r: BrowserRequest, deps: LoginDeps): Promise<Answer> {
  const limits = deps.now.settings.limits
  const count = addressLimit(r, limits.login, deps.emit)
  const wait = deps.limiter.check(`login|${count.key}`, count.limit)
  if (wait !== undefined) return tooMany(r, deps, wait)
  const returnTo = parseReturnTo(r.query.get('return_to'), r.origin, deps.now)
  const asked = readAsked(r.query)
  const named = r.query.getAll('provider')
  const provider = deps.providers.get(named[0] ?? '')
  if (asked === undefined || named.length > 1 || (named.length === 1 && provider === undefined))
    return deps.errorAnswer({ code: 'BAD_REQUEST' }, r)
  const cookies = distinctCookies(r, deps.now)
  const plain = Object.keys(asked).length === 0 && provider === undefined
  const session = plain || (provider === undefined && deps.providers.size > 1) ? await liveSession(r, deps) : undefined
  if (plain && session !== undefined) return redirect(returnTo, [])
  const clear = cookies.length > 1 ? expireCookies(deps.now.settings.session, r.hostname) : []
  const params = { ...asked, return_to: returnTo }
  // Attempts and callbacks are of one host: the login host where there is one.
  if (loginOrigin(r.origin, deps.now) !== r.origin)
    return redirect(
      loginUrl(r.origin, deps.now, provider === undefined ? params : { ...params, provider: provider.settings.name }),
      clear,
    )
  const chosen = provider ?? decideProvider(asked, session, deps)
  if (chosen === undefined) return offerProviders(r, deps, params, clear)
  return goToProvider(r, deps, chosen, returnTo, asked, clear)
}

/** Of the one cookie that came; of two, nobody knows whose is whose. */
async function liveSession(r: BrowserRequest, deps: LoginDeps): Promise<LiveSession | undefined> {
  const [value, other] = distinctCookies(r, deps.now)
  if (value === undefined || other !== undefined) return undefined
  const judged = await judgeCookie(value, r, deps)
  return judged?.state === 'live' ? judged.session : undefined
}

async function goToProvider(
  r: BrowserRequest,
  deps: LoginDeps,
  provider: Provider,
  returnTo: string,
  asked: Record<string, string>,
  clear: readonly string[],
): Promise<Answer> {
  const key = deps.attemptKeys[0]
  if (key === undefined) throw new Error('no attempt key')
  const attempt: Attempt = {
    random: Buffer.from(deps.random(32)).toString('base64url'),
    startedAt: deps.clock.wallMs(),
    returnTo,
    provider: provider.settings.name,
    ...(asked['acr_values'] === undefined ? {} : { acrValues: asked['acr_values'] }),
    ...(asked['max_age'] === undefined ? {} : { maxAgeS: Number(asked['max_age']) }),
  }
  try {
    const uri = r.origin + (await callbackPathOf(provider, deps.now))
    const derived = deriveAttempt(attempt.random, key, {
      issuer: provider.settings.issuer.href,
      clientId: provider.settings.client.clientId,
      redirectUri: uri,
    })
    const { state, nonce, codeVerifier } = derived
    const resources = resourcesAtLogin(deps.now.settings)
    const url = await provider.authorizationUrl({
      redirectUri: uri,
      state,
      nonce,
      codeVerifier,
      resources,
      extra: asked,
    })
    const place = attemptPlace(deps.now.settings)
    const cookies = startCookies(derived.name, sealAttempt(attempt, key), r.cookies.get(place.index)?.[0], place)
    return redirect(url.href, [...clear, ...cookies])
  } catch (e) {
    if (!(e instanceof ProviderUnavailable)) throw e
    return deps.errorAnswer(
      { code: 'PROVIDER_UNAVAILABLE', retryAfterS: e.retryAfterS, tryAgainUrl: `${r.path}?${r.query.toString()}` },
      r,
    )
  }
}

/** undefined: a parameter that came twice or looks like nothing of its kind. */
function readAsked(query: URLSearchParams): Record<string, string> | undefined {
  const asked: Record<string, string> = {}
  for (const [name, shape] of Object.entries(PASSED)) {
    const values = query.getAll(name)
    const value = values[0]
    if (value === undefined || value === '') continue
    if (values.length > 1 || !shape.test(value)) return undefined
    asked[name] = value
  }
  return asked
}

export function tooMany(r: BrowserRequest, deps: LoginDeps, retryAfterS: number): Answer {
  deps.emit({ name: 'rate_limited', correlationId: r.correlationId, fields: { path: r.path, client_ip: r.clientIp } })
  return deps.errorAnswer({ code: 'RATE_LIMITED', retryAfterS }, r)
}
