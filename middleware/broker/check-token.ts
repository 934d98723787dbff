import { ProviderUnavailable } from '../provider/errors.ts'
import type { TokenGranted } from '../provider/types.ts'
import type { Claims, EpochMs, ServiceToken, TokenId } from '../types.ts'
import { audienceFits, decodeJwt, expiryOf, issuerFits, readAudiences, readScopes } from './audience.ts'
import type { BrokerOptions, Target } from './types.ts'

export type Checked =
  | { readonly kind: 'token'; readonly token: ServiceToken }
  | { readonly kind: 'wrong'; readonly reason: string; readonly got: readonly string[] }
  | { readonly kind: 'down'; readonly retryAfterS: number }

/** `asked`: what an answer without `scope` means to have granted (RFC 6749 §5.1). */
export interface Arrival {
  readonly granted: TokenGranted
  readonly asked: readonly string[] | undefined
  readonly receivedAt: EpochMs
}

/** A JWT is judged at once; undefined says that the token is opaque and only introspection can tell. */
export function checkJwt(o: BrokerOptions, t: Target, a: Arrival): Checked | undefined {
  const value = a.granted.accessToken.reveal()
  if (a.granted.tokenType === 'N_A') return { kind: 'wrong', reason: 'not an access token', got: [] }
  if (!isHeaderSafe(value)) return { kind: 'wrong', reason: 'not a header value', got: [] }
  const claims = decodeJwt(value)
  if (claims !== undefined) return checkClaims(o, t, a, claims)
  return t.service.trustOpaque ? accept(o, t, a, [], undefined, undefined) : undefined
}

/** RFC 7662, by the client that got the token. Without such an endpoint an untrusted opaque token counts as none. */
export async function checkOpaque(o: BrokerOptions, t: Target, a: Arrival): Promise<Checked> {
  try {
    const seen = await t.provider.introspect(a.granted.accessToken, t.client)
    if (seen === undefined) return { kind: 'wrong', reason: 'opaque, and the provider has no introspection', got: [] }
    if (!seen.active) return { kind: 'wrong', reason: 'not active', got: [] }
    return checkClaims(o, t, a, seen.claims)
  } catch (e) {
    if (e instanceof ProviderUnavailable) return { kind: 'down', retryAfterS: e.retryAfterS }
    throw e
  }
}

function checkClaims(o: BrokerOptions, t: Target, a: Arrival, claims: Claims): Checked {
  const got = readAudiences(claims['aud'])
  if (!audienceFits(got, t.audience, t.service.allowOtherAudiences)) return { kind: 'wrong', reason: 'audience', got }
  if (!issuerFits(claims['iss'], t.provider.issuer(), t.service.tokenEndpoint))
    return { kind: 'wrong', reason: 'issuer', got }
  return accept(o, t, a, got, claims['exp'], readScopes(claims))
}

function accept(
  o: BrokerOptions,
  t: Target,
  a: Arrival,
  audiences: readonly string[],
  exp: unknown,
  tokenScopes: readonly string[] | undefined,
): Checked {
  const expiresAt = expiryOf(a.receivedAt, a.granted.expiresInS, exp)
  if (expiresAt !== undefined && expiresAt <= a.receivedAt)
    return { kind: 'wrong', reason: 'expired on arrival', got: audiences }
  const scopes = a.granted.scopes ?? tokenScopes ?? a.asked ?? []
  const told = a.granted.scopes !== undefined || tokenScopes !== undefined
  const wanted = t.service.scopes
  if (told && wanted.length > 0 && !wanted.some((s) => cameBack(s, scopes)))
    return { kind: 'wrong', reason: 'none of the configured scopes', got: audiences }
  return {
    kind: 'token',
    token: makeToken(o, {
      service: t.service.name,
      granted: a.granted,
      audiences,
      scopes,
      receivedAt: a.receivedAt,
      expiresAt,
    }),
  }
}

/**
 * Entra ID's `…/.default` asks for whatever was consented to at that resource and never comes back by that name; that it
 * is the right resource, the audience has told already.
 */
function cameBack(wanted: string, told: readonly string[]): boolean {
  return told.includes(wanted) || (wanted.endsWith('/.default') && told.length > 0)
}

/** The login's own access token after a plain refresh: kept as it came; what it may be used for is judged per use. */
export function loginToken(o: Pick<BrokerOptions, 'random'>, slot: string, a: Arrival): ServiceToken {
  const claims = decodeJwt(a.granted.accessToken.reveal()) ?? {}
  return makeToken(o, {
    service: slot,
    granted: a.granted,
    audiences: readAudiences(claims['aud']),
    scopes: a.granted.scopes ?? readScopes(claims) ?? a.asked ?? [],
    receivedAt: a.receivedAt,
    expiresAt: expiryOf(a.receivedAt, a.granted.expiresInS, claims['exp']),
  })
}

interface Parts extends Pick<ServiceToken, 'service' | 'audiences' | 'scopes' | 'receivedAt' | 'expiresAt'> {
  readonly granted: TokenGranted
}

function makeToken(o: Pick<BrokerOptions, 'random'>, p: Parts): ServiceToken {
  const { granted, ...rest } = p
  return {
    ...rest,
    id: Buffer.from(o.random(12)).toString('base64url') as TokenId,
    value: granted.accessToken,
    type: granted.tokenType === 'DPoP' ? 'DPoP' : 'Bearer',
  }
}

/** RFC 6750 §2.1 `b64token`: whatever else came would break out of the Authorization header. */
function isHeaderSafe(value: string): boolean {
  return /^[A-Za-z0-9\-._~+/]+=*$/.test(value)
}
