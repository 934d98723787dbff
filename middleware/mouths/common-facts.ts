import type { Generation, RawRequest, RequestFacts } from '../types.ts'
import { isPrivateAddress } from './address.ts'
import { forwardedAddress, peerAddress, readCookies, readCsrf, repeatedCsrf, single } from './request-headers.ts'

/**
 * Method words that are decided on; another case is another word (RFC 9110 §9.1), and nobody's route. TRACE (§9.3.8, and the
 * TRACK of some servers) sends a request's headers back, our token among them; CONNECT opens a tunnel.
 */
export const METHOD = /^(?!(?:TRACE|TRACK|CONNECT)$)[A-Z]{1,32}$/

export type CommonFacts = Pick<
  RequestFacts,
  | 'acceptLanguage'
  | 'clientIp'
  | 'clientIpUnknown'
  | 'cookies'
  | 'cookiesForUpstream'
  | 'authorization'
  | 'csrf'
  | 'preflight'
  | 'preflightMethod'
  | 'overrides'
>

/** What every mouth reads alike; a text says why the request is refused. */
export function readCommon(raw: RawRequest, now: Generation, method: string, trusted: boolean): CommonFacts | string {
  const cookies = readCookies(raw.all('cookie'), now.settings.session.cookieName)
  if (cookies === 'too_large') return 'cookies too large'
  const authorization = single(raw, 'authorization')
  if (authorization.repeated) return 'Authorization repeated'
  const repeated = repeatedCsrf(raw)
  if (repeated !== undefined) return `${repeated} repeated`
  const csrf = readCsrf(raw)
  const overrides = readOverrides(raw)
  if (!overrides.every((method) => METHOD.test(method))) return 'a method override that is no method'
  // CORS: OPTIONS with Origin and Access-Control-Request-Method asks on behalf of another method.
  const asked = raw.all('access-control-request-method')[0]
  const preflight = method === 'OPTIONS' && csrf.origin !== undefined && asked !== undefined
  const forwarded = trusted ? forwardedAddress(raw, now.settings.server.clientIp) : undefined
  return {
    acceptLanguage: raw.all('accept-language')[0] ?? '',
    clientIp: forwarded ?? peerAddress(raw),
    clientIpUnknown: forwarded === undefined && (trusted || mayBeGateway(raw, now)),
    cookies: cookies.session,
    cookiesForUpstream: cookies.forUpstream,
    authorization: authorization.value,
    csrf,
    preflight,
    preflightMethod: preflight ? asked : undefined,
    overrides,
  }
}

const OVERRIDES = ['x-http-method-override', 'x-http-method', 'x-method-override'] as const
const NONE: readonly string[] = []

/** Many frameworks take the method from one of these: what was allowed as a GET would be done as a DELETE. */
function readOverrides(raw: RawRequest): readonly string[] {
  let found = NONE
  for (const name of OVERRIDES) {
    const values = raw.all(name)
    if (values.length > 0) found = [...found, ...values.map((v) => v.trim().toUpperCase())]
  }
  return found
}

/** Where no gateway is configured, a private peer is more often one than a client. */
function mayBeGateway(raw: RawRequest, { settings }: Generation): boolean {
  const { trustedProxies, verifyTls } = settings.server
  return trustedProxies.length === 0 && verifyTls?.clientCa === undefined && isPrivateAddress(peerAddress(raw))
}
