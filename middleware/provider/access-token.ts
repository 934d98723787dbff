import type { Claims } from '../types.ts'
import type { Connection } from './connection.ts'
import { ProviderRejected, ProviderUnavailable } from './errors.ts'
import { expectedIssuer } from './id-token.ts'
import { verifySigned } from './keys.ts'

/** An id token of the same issuer must not pass as an access token; RFC 9068 §4 names `at+jwt`, most providers say `JWT` or nothing. */
const TYPES = [undefined, 'jwt', 'at+jwt']

/** A JWT access token of this issuer for exactly this audience (RFC 9068 §4). `aud` may list others beside it. */
export async function verifyAccessToken(c: Connection, jwt: string, audience: string): Promise<Claims> {
  const md = await c.metadata.get()
  const v = await verifySigned(await c.keys(), jwt, c.nowMs(), {
    audience,
    requiredClaims: ['iss', 'aud', 'exp'],
    anyAlgorithm: true,
  })
  if (v.kind === 'unverifiable') throw new ProviderUnavailable(v.reason, 2)
  if (v.kind === 'rejected') {
    if (v.unknownKey) c.metadata.suspect()
    throw new ProviderRejected('access_token', 'invalid_token', v.reason)
  }
  const typ = v.header.typ?.toLowerCase().replace(/^application\//, '')
  if (!TYPES.includes(typ)) throw new ProviderRejected('access_token', 'invalid_token', 'typ is not an access token')
  if (v.claims.iss !== expectedIssuer(md, v.claims))
    throw new ProviderRejected('access_token', 'invalid_token', 'iss is another issuer')
  if ('nonce' in v.claims || 'at_hash' in v.claims)
    throw new ProviderRejected('access_token', 'invalid_token', 'this is an id token')
  return v.claims
}
