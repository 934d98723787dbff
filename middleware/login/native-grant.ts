import type { NativeGrant, RateLimit } from '../../config/types.ts'
import { ProviderRejected, ProviderUnavailable } from '../provider/errors.ts'
import type { Provider, TokenGranted } from '../provider/types.ts'
import type { Answer, BrowserRequest, Claims, LoginCode } from '../types.ts'
import { answerJson, type LoginDeps, type SaveRecord } from './deps.ts'
import { maySignIn } from './granted.ts'
import { createSession, type GrantedLogin } from './open-session.ts'
import { addressLimit } from './rate-limit.ts'

const LONGEST_VALUE = 2000
/** After `unsupported_grant_type` the provider is not asked again for so long: an error, not a loop (R18). */
const UNSUPPORTED_MS = 5 * 60_000

/**
 * `POST /auth/login/grant/<name>` (R17): signs in by an extension grant, redeemed with the confidential client. JSON and same
 * origin only. Every id-token check is made but the nonce; without an id token the user is who userinfo says. The limits are
 * counted in the shared store before the provider is asked, and every refusal reads alike, whoever exists.
 */
export async function grantLogin(r: BrowserRequest, deps: LoginDeps, save: SaveRecord): Promise<Answer> {
  const name = r.path.slice(r.path.lastIndexOf('/') + 1)
  const named = r.query.get('provider')
  const provider = [...deps.providers.values()].find(
    (p) => p.settings.nativeGrants.has(name) && (named === null || p.settings.name === named),
  )
  const grant = provider?.settings.nativeGrants.get(name)
  if (provider === undefined || grant === undefined) return deps.errorAnswer({ code: 'NO_ROUTE', status: 404 }, r)
  const parameters = readParameters(r, grant)
  if (!isSameOrigin(r, deps)) return no(r, deps, 'CSRF_FAILED')
  if (parameters === undefined) return no(r, deps, 'BAD_REQUEST')
  const key = `${provider.settings.name} ${name}`
  const wait = await overLimit(r, deps, grant, parameters, key)
  if (wait !== undefined) return no(r, deps, 'RATE_LIMITED', wait)
  if ((deps.unsupportedGrants.get(key) ?? 0) > deps.clock.monoMs()) return no(r, deps, 'UNSUPPORTED_GRANT_TYPE')
  return redeem(r, deps, { provider, grant, parameters, key }, save)
}

interface Attempt {
  readonly provider: Provider
  readonly grant: NativeGrant
  readonly parameters: Readonly<Record<string, string>>
  readonly key: string
}

async function redeem(r: BrowserRequest, deps: LoginDeps, a: Attempt, save: SaveRecord): Promise<Answer> {
  const { provider, grant } = a
  const began = deps.clock.wallMs()
  const answer = await provider.tokenRequest({
    ...a.parameters,
    grant_type: grant.grantType,
    scope: provider.settings.oauthScopes.join(' '),
  })
  if (answer.kind === 'down') return no(r, deps, 'PROVIDER_UNAVAILABLE', answer.retryAfterS)
  if (answer.kind === 'oauth_error') {
    deps.emit({
      name: 'token_request_failed',
      correlationId: r.correlationId,
      fields: { service: 'login', grant: grant.name, error: answer.error },
    })
    if (answer.error !== 'unsupported_grant_type') return failed(r, deps, 'LOGIN_FAILED')
    deps.unsupportedGrants.set(a.key, deps.clock.monoMs() + UNSUPPORTED_MS)
    return no(r, deps, 'UNSUPPORTED_GRANT_TYPE')
  }
  let result: GrantedLogin | undefined
  try {
    result = await toLogin(provider, answer, deps)
  } catch (e) {
    if (e instanceof ProviderUnavailable) return no(r, deps, 'PROVIDER_UNAVAILABLE', e.retryAfterS)
    if (!(e instanceof ProviderRejected)) throw e
  }
  if (result === undefined) return failed(r, deps, 'LOGIN_FAILED')
  if (!maySignIn(provider.settings.require, result.identity, deps.now.settings.identity.groupsClaim)) {
    if (result.refreshToken !== undefined) void provider.revoke(result.refreshToken, 'refresh_token')
    return failed(r, deps, 'LOGIN_NOT_ALLOWED')
  }
  const cookies = await createSession(r, deps, { provider, result, began }, save)
  if (cookies === 'signed_out') return failed(r, deps, 'LOGIN_FAILED')
  return answerJson({ authenticated: true, sub: result.sub }, cookies)
}

/** Who signed in: the verified id token's subject, else userinfo's. Undefined where nobody vouches. */
async function toLogin(provider: Provider, t: TokenGranted, deps: LoginDeps): Promise<GrantedLogin | undefined> {
  if (t.identity !== undefined && t.identity.kind !== 'verified') {
    deps.emit({ name: 'id_token_rejected', fields: { reason: t.identity.reason } })
    return undefined
  }
  const idClaims: Claims | undefined = t.identity?.claims
  const wanted =
    idClaims === undefined || (provider.settings.userinfo !== 'never' && typeof idClaims['email'] !== 'string')
  const told = wanted ? await provider.userinfo(t.accessToken, textOf(idClaims?.['sub'])) : undefined
  const identity: Claims = { ...told, ...idClaims }
  const sub = textOf(identity['sub'])
  if (sub === undefined || t.tokenType === 'N_A') return undefined
  const authTime = identity['auth_time'] ?? identity['iat']
  const [sid, acr] = [textOf(identity['sid']), textOf(identity['acr'])]
  return {
    accessToken: t.accessToken,
    tokenType: t.tokenType,
    ...(t.refreshToken === undefined ? {} : { refreshToken: t.refreshToken }),
    ...(t.identity === undefined ? {} : { idToken: t.identity.idToken }),
    identity,
    issuer: provider.issuer(),
    sub,
    ...(sid === undefined ? {} : { sid }),
    ...(acr === undefined ? {} : { acr }),
    authTimeS: typeof authTime === 'number' ? authTime : Math.floor(deps.clock.wallMs() / 1000),
    scopes: t.scopes ?? provider.settings.oauthScopes,
    ...(t.expiresInS === undefined ? {} : { expiresInS: t.expiresInS }),
  }
}

/** Only what the config names, each a text; a form cannot be sent across origins with this content type. */
function readParameters(r: BrowserRequest, grant: NativeGrant): Record<string, string> | undefined {
  if (!/^application\/json\s*(?:;|$)/i.test(r.contentType)) return undefined
  const parameters: Record<string, string> = {}
  for (const [name, value] of r.body) {
    if (!grant.parameters.includes(name) || value.length > LONGEST_VALUE) return undefined
    parameters[name] = value
  }
  if (grant.identifier !== undefined && (parameters[grant.identifier] ?? '') === '') return undefined
  return Object.keys(parameters).length > 0 ? parameters : undefined
}

function isSameOrigin(r: BrowserRequest, deps: LoginDeps): boolean {
  const { origin, site } = r.csrf
  return origin !== undefined && deps.now.isOurOrigin(origin) && (site === undefined || site === 'same-origin')
}

/** Per address and per identifier, in the store that all replicas share: neither many addresses nor many replicas help. */
async function overLimit(
  r: BrowserRequest,
  deps: LoginDeps,
  grant: NativeGrant,
  parameters: Readonly<Record<string, string>>,
  grantKey: string,
): Promise<number | undefined> {
  const limit: RateLimit = deps.now.settings.limits.nativeGrant
  // Spellings that a provider may take for one user count as one (CVE-2025-24806).
  const who =
    grant.identifier === undefined ? undefined : parameters[grant.identifier]?.normalize('NFKC').trim().toLowerCase()
  const address = addressLimit(r, limit, deps.emit)
  const counts = [
    { key: `grant|${grantKey}|ip|${address.key}`, most: address.limit.count },
    ...(who === undefined ? [] : [{ key: `grant|${grantKey}|id|${who}`, most: limit.count }]),
  ]
  const counted = await Promise.all(
    counts.map(async ({ key, most }) => ({ ...(await deps.sessions.count(key, limit.perMs)), most })),
  )
  const over = counted.filter((c) => c.count > c.most)
  return over.length === 0 ? undefined : Math.ceil(Math.max(...over.map((c) => c.resetMs)) / 1000)
}

/** 401 in the same words, whether the user, the code or both were wrong. */
function failed(r: BrowserRequest, deps: LoginDeps, code: LoginCode): Answer {
  deps.emit({ name: 'login_failed', correlationId: r.correlationId, fields: { code, client_ip: r.clientIp } })
  return deps.errorAnswer(code === 'LOGIN_FAILED' ? { code, status: 401 } : { code }, r)
}

function no(
  r: BrowserRequest,
  deps: LoginDeps,
  code: 'CSRF_FAILED' | 'BAD_REQUEST' | 'RATE_LIMITED' | 'PROVIDER_UNAVAILABLE' | 'UNSUPPORTED_GRANT_TYPE',
  retryAfterS?: number,
): Answer {
  deps.emit({ name: 'login_failed', correlationId: r.correlationId, fields: { code, client_ip: r.clientIp } })
  return deps.errorAnswer(retryAfterS === undefined ? { code } : { code, retryAfterS }, r)
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
