import { judgeCookie } from './current-session.ts'
import { ProviderUnavailable } from '../provider/errors.ts'
import type { Provider } from '../provider/types.ts'
import { expireCookies } from '../session/expire-cookies.ts'
import type { Answer, BrowserRequest } from '../types.ts'
import { INDEX_COOKIE, deriveAttempt, sealAttempt, startCookies, type Attempt } from './attempt.ts'
import { callbackPath, distinctCookies, redirect, redirectUri, type LoginDeps } from './deps.ts'
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
 * `GET /auth/login`: off to the provider. Nothing is written to the store: what must survive the way is in a signed,
 * HttpOnly cookie, and state, nonce and verifier are derived from it.
 */
export async function startLogin(r: BrowserRequest, deps: LoginDeps): Promise<Answer> {
  const limits = deps.now.settings.limits
  const count = addressLimit(r, limits.login, deps.emit)
  const wait = deps.limiter.check(`login|${count.key}`, count.limit)
  if (wait !== undefined) return tooMany(r, deps, wait)
  const returnTo = parseReturnTo(r.query.get('return_to'), r.origin, deps.now)
  const asked = readAsked(r.query)
  if (asked === undefined) return deps.errorAnswer({ code: 'BAD_REQUEST' }, r)
  const name = r.query.get('provider')
  const provider = name === null ? [...deps.providers.values()][0] : deps.providers.get(name)
  if (provider === undefined) return deps.errorAnswer({ code: 'BAD_REQUEST' }, r)
  const cookies = distinctCookies(r, deps.now)
  if (Object.keys(asked).length === 0 && name === null && cookies.length === 1) {
    const current = await judgeCookie(cookies[0] ?? '', r, deps)
    if (current?.state === 'live') return redirect(returnTo, [])
  }
  const clear = cookies.length > 1 ? expireCookies(deps.now.settings.session, r.hostname) : []
  return goToProvider(r, deps, provider, returnTo, asked, clear)
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
  const uri = redirectUri(r.origin, deps.now)
  const attempt: Attempt = {
    random: Buffer.from(deps.random(32)).toString('base64url'),
    startedAt: deps.clock.wallMs(),
    returnTo,
    provider: provider.settings.name,
    ...(asked['acr_values'] === undefined ? {} : { acrValues: asked['acr_values'] }),
    ...(asked['max_age'] === undefined ? {} : { maxAgeS: Number(asked['max_age']) }),
  }
  const derived = deriveAttempt(attempt.random, key, {
    issuer: provider.settings.issuer.href,
    clientId: provider.settings.client.clientId,
    redirectUri: uri,
  })
  try {
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
    const basePath = deps.now.settings.server.basePath
    const index = r.cookies.get(INDEX_COOKIE)?.[0]
    const cookies = startCookies(
      derived.name,
      sealAttempt(attempt, key),
      index,
      callbackPath(deps.now),
      `${basePath}/login`,
    )
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
