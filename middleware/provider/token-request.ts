import * as client from 'openid-client'
import { secret } from '../../config/secret.ts'
import { ProviderUnavailable, safeDescription, safeErrorCode } from './errors.ts'
import type { Connection } from './connection.ts'
import { type Exchange, parseObject } from './exchange.ts'
import { verifyIdToken } from './id-token.ts'
import type { TokenGranted, TokenParams, TokenRequestOptions, TokenResponse } from './types.ts'

const DEFAULT_RETRY_S = 2

/** Any grant at the token endpoint (RFC 6749 §4.5), with every fault typed. Never throws. */
export async function tokenRequest(c: Connection, params: TokenParams, o: TokenRequestOptions): Promise<TokenResponse> {
  const circuit = c.circuit(o)
  const wait = circuit.retryAfterS()
  if (wait !== undefined)
    return { kind: 'down', retryAfterS: wait, detail: 'the token endpoint has been failing; not asked', known: true }
  const known = circuit.isFailing() ? ({ known: true } as const) : {}
  let call
  try {
    call = await c.prepare({ ...o, takeIdToken: true })
  } catch (e) {
    if (e instanceof ProviderUnavailable)
      return { kind: 'down', retryAfterS: e.retryAfterS, detail: e.message, known: true }
    return { kind: 'down', retryAfterS: 30, detail: 'the client authentication cannot be prepared' }
  }
  const { grant_type: grantType, ...rest } = params
  const answer = await client.genericGrantRequest(call.config, grantType, formBody(rest)).then(
    (r): TokenResponse => granted(r),
    () => classifyFailure(call.exchange),
  )
  if (answer.kind === 'down') circuit.failed(call.exchange.retryAfterS)
  else circuit.succeeded()
  if (call.exchange.fault !== undefined || call.exchange.status === 404) c.metadata.suspect()
  if (answer.kind === 'down') return { ...answer, ...known }
  if (answer.kind !== 'ok' || call.exchange.idToken === undefined) return answer
  return withIdentity(c, answer, call.exchange.idToken, (o.client ?? c.options.settings.client).clientId)
}

async function withIdentity(
  c: Connection,
  answer: TokenGranted,
  idToken: string,
  clientId: string,
): Promise<TokenGranted> {
  const identity = await verifyIdToken(c, idToken, { clientId, accessToken: answer.accessToken.reveal() }).catch(
    () => ({ kind: 'unverifiable', reason: 'the provider cannot be reached' }) as const,
  )
  return { ...answer, identity }
}

function formBody(params: Readonly<Record<string, string | readonly string[] | undefined>>): URLSearchParams {
  const body = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    for (const v of value === undefined ? [] : typeof value === 'string' ? [value] : value) body.append(name, v)
  }
  return body
}

function granted(r: client.TokenEndpointResponse): TokenGranted {
  // The library lower-cases token_type and refuses all but these.
  const type = (r.token_type as string) === 'n_a' ? 'N_A' : r.token_type === 'dpop' ? 'DPoP' : 'Bearer'
  const issued = r['issued_token_type']
  return {
    kind: 'ok',
    accessToken: secret(r.access_token),
    tokenType: type,
    ...(r.expires_in === undefined ? {} : { expiresInS: r.expires_in }),
    ...(r.refresh_token === undefined ? {} : { refreshToken: secret(r.refresh_token) }),
    ...(r.scope === undefined ? {} : { scopes: splitScope(r.scope) }),
    ...(typeof issued === 'string' ? { issuedTokenType: issued } : {}),
  }
}

export function splitScope(scope: string): readonly string[] {
  return scope.split(' ').filter((s) => s !== '')
}

/**
 * R19: only 400 and 403 with an OAuth error are the provider's word. A 401 (whatever its error says), a redirect, a 5xx,
 * a broken or huge body and silence are its own trouble: plain providers answer 401 invalid_grant when their storage fails.
 */
export function classifyFailure(x: Exchange): Exclude<TokenResponse, TokenGranted> {
  const body = parseObject(x.body)
  const error = safeErrorCode(body?.['error'])
  if (error !== undefined && (x.status === 400 || x.status === 403)) {
    const description = safeDescription(body?.['error_description'])
    return { kind: 'oauth_error', status: x.status, error, ...(description === undefined ? {} : { description }) }
  }
  const what =
    x.fault ??
    (x.status === 200 ? 'malformed token response' : `HTTP ${x.status ?? '?'}${error === undefined ? '' : ` ${error}`}`)
  return { kind: 'down', retryAfterS: x.retryAfterS ?? DEFAULT_RETRY_S, detail: what }
}
