import type { SignInRequire } from '../../config/types.ts'
import { decodeJwt } from '../broker/audience.ts'
import { groupsOf, holdsClaim } from '../identity/claims.ts'
import type { LoginResult } from '../provider/types.ts'
import type { Claims, EpochMs, ServiceToken, TokenId } from '../types.ts'

/**
 * `auth.require`: who may sign in at all. A domain counts only of an address that the provider verified, and of its last
 * part: `a@evil.com@company.com` is nobody's (GHSA-c5c4-8r6x-56w3).
 */
export function maySignIn(require: SignInRequire, claims: Claims, groupsClaim: string): boolean {
  if (require.emailDomains.length > 0 && !hasDomain(require.emailDomains, claims)) return false
  if (require.groups.length > 0 && !require.groups.some((g) => groupsOf(claims, groupsClaim).includes(g))) return false
  return Object.entries(require.claims).every(([path, wanted]) => holdsClaim(claims, path, wanted))
}

function hasDomain(domains: readonly string[], claims: Claims): boolean {
  const email = claims['email']
  if (typeof email !== 'string' || claims['email_verified'] !== true) return false
  const [local, domain, more] = email.split('@')
  if (local === undefined || local === '' || domain === undefined || more !== undefined) return false
  return domains.some((d) => lowerAscii(d) === lowerAscii(domain))
}

/** `toLowerCase` makes letters of ASCII from others: the Kelvin sign becomes a `k` (CVE-2024-38827). */
const lowerAscii = (text: string): string => text.replace(/[A-Z]/g, (c) => c.toLowerCase())

/** The access token that came with the login, as a token of its own slot; its audiences are read where it is a JWT. */
export function loginToken(
  slot: string,
  result: Pick<LoginResult, 'accessToken' | 'tokenType' | 'scopes' | 'expiresInS'>,
  now: EpochMs,
  random: (bytes: number) => Uint8Array,
): ServiceToken {
  return {
    id: Buffer.from(random(9)).toString('base64url') as TokenId,
    service: slot,
    value: result.accessToken,
    type: result.tokenType,
    audiences: audiencesOf(result.accessToken.reveal()),
    scopes: result.scopes,
    receivedAt: now,
    expiresAt: result.expiresInS === undefined ? undefined : ((now + result.expiresInS * 1000) as EpochMs),
  }
}

/** None of an opaque token's: the broker introspects it where a service wants it. */
function audiencesOf(token: string): readonly string[] {
  const aud = decodeJwt(token)?.['aud']
  return aud === undefined ? [] : ((Array.isArray(aud) ? aud : [aud]) as string[])
}
