import type { ServiceSettings } from '../../config/types.ts'
import type { Claims, EpochMs, ServiceToken } from '../types.ts'

/**
 * R9: `aud` fits when it is the configured string, byte for byte, or a list of just that. A wider token would let one
 * upstream act at another with it, so it counts as none unless the service says otherwise.
 */
export function audienceFits(audiences: readonly string[], wanted: string, allowOthers: boolean): boolean {
  return allowOthers ? audiences.includes(wanted) : audiences.length === 1 && audiences[0] === wanted
}

/** The same question for a token already held: a reload may have changed the service's audience since it came. */
export function stillFits(token: ServiceToken, service: ServiceSettings): boolean {
  if (service.audience === undefined) return false
  if (token.audiences.length === 0) return service.trustOpaque
  return audienceFits(token.audiences, service.audience, service.allowOtherAudiences)
}

/** RFC 7519 §4.1.3: a string or a list of strings. A list with anything else in it is no audience at all. */
export function readAudiences(aud: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  return list.every((a): a is string => typeof a === 'string' && a !== '') ? list : []
}

/** `scope` (RFC 9068 §2.2.3) or `scp` (Entra ID, Okta), as a string or a list. undefined: not told. */
export function readScopes(claims: Claims): readonly string[] | undefined {
  const value = claims['scope'] ?? claims['scp']
  if (typeof value === 'string') return value.split(' ').filter((s) => s !== '')
  return Array.isArray(value) ? value.filter((s): s is string => typeof s === 'string') : undefined
}

/**
 * The claims of a JWT, unverified: it came from the token endpoint itself, and the upstream verifies it. undefined for
 * an opaque token (and for a JWE, which only the upstream can read).
 */
export function decodeJwt(value: string): Claims | undefined {
  const parts = value.split('.')
  if (parts.length !== 3) return undefined
  const header = parseJson(parts[0])
  return header === undefined || typeof header['alg'] !== 'string' ? undefined : parseJson(parts[1])
}

function parseJson(part: string | undefined): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? '', 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : undefined
  } catch {
    return undefined
  }
}

/**
 * Whether `iss` is the provider's. Entra ID signs v1 access tokens as sts.windows.net under the same tenant; a service
 * with a token endpoint of its own (Okta's custom authorization servers) has an issuer of its own beside it.
 */
export function issuerFits(iss: unknown, providerIssuer: string, tokenEndpoint: URL | undefined): boolean {
  if (iss === undefined) return true
  if (typeof iss !== 'string') return false
  if (iss === providerIssuer) return true
  if (!URL.canParse(iss)) return false
  const url = new URL(iss)
  if (tokenEndpoint !== undefined && url.origin === tokenEndpoint.origin) return true
  const own = new URL(providerIssuer)
  return (
    own.hostname === 'login.microsoftonline.com' &&
    url.origin === 'https://sts.windows.net' &&
    url.pathname.split('/')[1] === own.pathname.split('/')[1]
  )
}

/** The earlier of `expires_in` (counted from arrival) and `exp`; undefined where neither is told. */
export function expiryOf(receivedAt: EpochMs, expiresInS: number | undefined, exp: unknown): EpochMs | undefined {
  const times = [
    expiresInS === undefined ? undefined : receivedAt + expiresInS * 1000,
    typeof exp === 'number' ? exp * 1000 : undefined,
  ]
  const known = times.filter((t) => t !== undefined)
  return known.length === 0 ? undefined : (Math.min(...known) as EpochMs)
}
