import { secret } from '../../config/secret.ts'
import type { ServerMetadata } from 'openid-client'
import type { Connection } from './connection.ts'
import { hashMatches, type Verified, verifySigned } from './keys.ts'
import type { IdTokenResult } from './types.ts'

export interface IdTokenChecks {
  readonly clientId: string
  /** For `at_hash`, where the id token has one (OpenID Connect Core §3.1.3.8). */
  readonly accessToken?: string
}

/**
 * An id token in full: signature by the provider's own keys, `alg` as announced, iss, aud, azp, exp, iat, sub, at_hash
 * (OpenID Connect Core §3.1.3.7). `nonce` belongs to the login alone and is checked there (§12.2: a refresh has none).
 */
export async function verifyIdToken(c: Connection, idToken: string, checks: IdTokenChecks): Promise<IdTokenResult> {
  const md = await c.metadata.get()
  const v = await verifySigned(await c.keys(), idToken, c.nowMs(), {
    audience: checks.clientId,
    requiredClaims: ['iss', 'aud', 'exp', 'iat', 'sub'],
  })
  if (v.kind === 'unverifiable') return v
  if (v.kind === 'rejected') {
    if (v.unknownKey) c.metadata.suspect()
    return { kind: 'rejected', reason: v.reason }
  }
  const fault = judgeClaims(v, md, checks)
  return fault === undefined
    ? { kind: 'verified', idToken: secret(idToken), claims: v.claims }
    : { kind: 'rejected', reason: fault }
}

function judgeClaims(
  v: Extract<Verified, { kind: 'verified' }>,
  md: ServerMetadata,
  checks: IdTokenChecks,
): string | undefined {
  const { claims, header } = v
  if (claims.iss !== expectedIssuer(md, claims)) return 'iss is another issuer'
  if (typeof claims.sub !== 'string' || claims.sub === '' || claims.sub.length > 255) return 'sub is no subject'
  const azp = claims['azp']
  // §3.1.3.7 items 4 and 5: several audiences need an azp, and an azp must be us.
  if (azp !== undefined && azp !== checks.clientId) return 'azp is another client'
  if (Array.isArray(claims.aud) && claims.aud.length > 1 && azp === undefined)
    return 'azp is missing beside several audiences'
  const atHash = claims['at_hash']
  if (atHash !== undefined && checks.accessToken !== undefined && !hashMatches(checks.accessToken, atHash, header.alg))
    return 'at_hash belongs to another access token'
  return undefined
}

/** Entra ID's multi-tenant metadata writes `{tenantid}` where the token has the tenant's own. */
export function expectedIssuer(md: ServerMetadata, claims: Readonly<Record<string, unknown>>): string {
  return typeof claims['tid'] === 'string' ? md.issuer.replace('{tenantid}', claims['tid']) : md.issuer
}
