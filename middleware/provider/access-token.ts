import type { Claims } from '../types.ts'
import type { Connection } from './connection.ts'
import { ProviderRejected, ProviderUnavailable } from './errors.ts'
import { expectedIssuer } from './id-token.ts'
import { verifySigned } from './keys.ts'

/** RFC 9068 §4 names `at+jwt`; most providers say `JWT` or nothing. */
const TYPES = [undefined, 'jwt', 'at+jwt']
/** Claims that only an id token (OpenID Connect Core §2, §3.3.2.11) or a logout token (Back-Channel Logout 1.0 §2.4) has. */
const OTHERS = ['nonce', 'at_hash', 'c_hash', 's_hash', 'events']

/**
 * A JWT access token of this issuer for exactly this audience (RFC 9068 §4). `aud` may list others beside it. Any other
 * token that the issuer signs must not pass for one: id tokens, logout tokens, refresh tokens that are JWTs.
 */
export async function verifyAccessToken(c: Connection, jwt: string, audience: string): Promise<Claims> {
  const md = await c.metadata.get()
  const v = await verifySigned(await c.keys(), jwt, c.nowMs(), {
    audience,
    requiredClaims: ['iss', 'aud', 'exp', 'sub'],
    anyAlgorithm: true,
  })
  if (v.kind === 'unverifiable') throw new ProviderUnavailable(v.reason, 2)
  if (v.kind === 'rejected') {
    if (v.unknownKey) c.metadata.suspect()
    throw bad(v.reason)
  }
  const typ = v.header.typ?.toLowerCase().replace(/^application\//, '')
  if (!TYPES.includes(typ)) throw bad('typ is not an access token')
  if (v.claims.iss !== expectedIssuer(md, v.claims)) throw bad('iss is another issuer')
  const fault = otherToken(v.claims)
  if (fault !== undefined) throw bad(fault)
  return v.claims
}

/** Which other token of the issuer's these claims are of; undefined: they may be an access token's. */
export function otherToken(claims: Claims): string | undefined {
  const { sub, typ, token_use: use } = claims
  if (typeof sub !== 'string' || sub === '' || sub.length > 255) return 'sub is no subject'
  const found = OTHERS.find((name) => name in claims)
  if (found !== undefined) return `${found}: this is no access token`
  // Keycloak says in the payload what it is: Bearer, ID, Refresh, Offline, Logout. Cognito: `token_use`.
  if (typ !== undefined && !(typeof typ === 'string' && /^(?:bearer|at\+jwt|jwt)$/i.test(typ)))
    return 'typ of the payload is not an access token'
  return use === undefined || use === 'access' ? undefined : 'token_use is not access'
}

function bad(reason: string): ProviderRejected {
  return new ProviderRejected('access_token', 'invalid_token', reason)
}
