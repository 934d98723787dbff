import { splitClaimPath } from '../../config/values/claim-path.ts'
import * as client from 'openid-client'
import { secret } from '../../config/secret.ts'
import type { Claims } from '../types.ts'
import { userinfo } from './calls.ts'
import type { Connection } from './connection.ts'
import { ProviderRejected, ProviderUnavailable, safeErrorCode } from './errors.ts'
import type { Exchange } from './exchange.ts'
import { verifyIdToken } from './id-token.ts'
import { classifyFailure, splitScope } from './token-request.ts'
import type { LoginResult, RedeemRequest } from './types.ts'

/**
 * The code for tokens (OpenID Connect Core §3.1.3). openid-client checks state, RFC 9207 `iss`, a doubled `code`, nonce,
 * iss, aud, azp, times; the signature, which it leaves out for the code flow, and `at_hash` are checked in id-token.ts.
 */
export async function redeem(c: Connection, r: RedeemRequest): Promise<LoginResult> {
  const call = await c.prepare()
  // Built on redirectUri, whatever origin the request claimed: it must equal the one sent to the authorization endpoint.
  const callback = new URL(r.redirectUri)
  callback.search = r.callbackUrl.search
  const checks: client.AuthorizationCodeGrantChecks = {
    expectedState: r.state,
    expectedNonce: r.nonce,
    pkceCodeVerifier: r.codeVerifier,
    idTokenExpected: true,
  }
  const extra = r.resource === undefined ? {} : { resource: r.resource }
  const response = await client.authorizationCodeGrant(call.config, callback, checks, extra).catch((e: unknown) => {
    throw rejection(c, e, call.exchange)
  })
  c.circuit().succeeded()
  const rawIdToken = response.id_token ?? ''
  const id = await verifyIdToken(c, rawIdToken, {
    clientId: c.options.settings.client.clientId,
    accessToken: response.access_token,
  })
  if (id.kind === 'rejected') throw new ProviderRejected('id_token', 'invalid_id_token', id.reason)
  if (id.kind === 'unverifiable') throw new ProviderUnavailable(id.reason, 2)
  const info = await loadUserinfo(c, response.access_token, id.claims, r.wantedClaims ?? [])
  return toResult(c, response, id.claims, info)
}

function toResult(
  c: Connection,
  response: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers,
  claims: Claims,
  info: Claims | undefined,
): LoginResult {
  const { sid, acr, auth_time: authTime } = claims
  return {
    accessToken: secret(response.access_token),
    tokenType: response.token_type === 'dpop' ? 'DPoP' : 'Bearer',
    ...(response.refresh_token === undefined ? {} : { refreshToken: secret(response.refresh_token) }),
    idToken: secret(response.id_token ?? ''),
    claims,
    ...(info === undefined ? {} : { userinfo: info }),
    identity: { ...info, ...claims },
    issuer: String(claims['iss']),
    sub: String(claims['sub']),
    ...(typeof sid === 'string' ? { sid } : {}),
    ...(typeof acr === 'string' ? { acr } : {}),
    authTimeS: Number(authTime ?? claims['iat']),
    scopes: response.scope === undefined ? c.options.settings.oauthScopes : splitScope(response.scope),
    ...(response.expires_in === undefined ? {} : { expiresInS: response.expires_in }),
  }
}

/** Every way a login can fail at the provider, told apart: its word, its trouble, or a check of ours. */
function rejection(c: Connection, e: unknown, x: Exchange): Error {
  if (e instanceof client.AuthorizationResponseError) {
    return new ProviderRejected(
      'authorization',
      safeErrorCode(e.error) ?? 'invalid_response',
      'the provider answered the sign-in with an error',
    )
  }
  // Nothing was sent: state, iss or code of the callback did not hold.
  if (x.status === undefined && x.fault === undefined)
    return new ProviderRejected('authorization', 'invalid_response', messageOf(e))
  if (x.status === 200 && looksLikeIdTokenFault(e))
    return new ProviderRejected('id_token', 'invalid_id_token', messageOf(e))
  const failure = classifyFailure(x)
  if (failure.kind === 'oauth_error')
    return new ProviderRejected('token', failure.error, `the token endpoint answered ${failure.error}`)
  c.circuit().failed(x.retryAfterS)
  return new ProviderUnavailable(`token endpoint: ${failure.detail}`, failure.retryAfterS)
}

/** A 200 whose JSON was fine: then what failed is the id token in it. */
function looksLikeIdTokenFault(e: unknown): boolean {
  if (!(e instanceof client.ClientError)) return false
  if (e.code === 'OAUTH_JWT_CLAIM_COMPARISON_FAILED' || e.code === 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED') return true
  return /JWT|id_token|ID Token|"alg"|unsupported/i.test(messageOf(e))
}

/** The library's messages name claims and parameters, never values; those stay in `cause`, which is dropped here. */
function messageOf(e: unknown): string {
  if (!(e instanceof Error)) return 'unknown error'
  return e.cause instanceof Error ? `${e.message}: ${e.cause.message}` : e.message
}

async function loadUserinfo(
  c: Connection,
  accessToken: string,
  claims: Claims,
  wanted: readonly string[],
): Promise<Claims | undefined> {
  const mode = c.options.settings.userinfo
  if (mode === 'never') return undefined
  if (mode === 'auto' && wanted.every((path) => hasPath(claims, path))) return undefined
  try {
    return await userinfo(c, secret(accessToken), String(claims['sub']))
  } catch (e) {
    // With `auto` a sign-in does not hang on an endpoint that only adds claims: what is missing grants nothing.
    if (mode === 'auto' && !(e instanceof ProviderRejected)) {
      c.options.emit({ name: 'userinfo_failed', fields: { provider: c.options.settings.name } })
      return undefined
    }
    throw e
  }
}

/** Dotted path; a claim whose own name has dots (`https://…/roles`) counts too. */
export function hasPath(claims: Claims, path: string): boolean {
  if (claims[path] !== undefined) return true
  let at: unknown = claims
  for (const part of splitClaimPath(path)) {
    if (typeof at !== 'object' || at === null) return false
    at = (at as Record<string, unknown>)[part]
  }
  return at !== undefined
}
