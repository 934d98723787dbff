import type { Generation, RawRequest, RequestFacts } from '../types.ts'
import { isPrivateAddress } from './address.ts'
import { NONE } from './header-lines.ts'
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

/** What a mouth reads in a way of its own, and what all read alike. */
interface FactParts extends Pick<RequestFacts, 'mouth' | 'method' | 'wants' | 'correlationId' | 'pinned' | 'again'> {
  readonly origin: Pick<RequestFacts, 'origin' | 'hostname'>
  readonly target: Pick<RequestFacts, 'path' | 'query' | 'encoded'>
  readonly common: CommonFacts
}

/** The facts of a request. Field by field: to spread the parts costs as much as all the rest of reading a check. */
export function toFacts(p: FactParts): RequestFacts {
  return {
    mouth: p.mouth,
    method: p.method,
    origin: p.origin.origin,
    hostname: p.origin.hostname,
    path: p.target.path,
    query: p.target.query,
    encoded: p.target.encoded,
    acceptLanguage: p.common.acceptLanguage,
    clientIp: p.common.clientIp,
    clientIpUnknown: p.common.clientIpUnknown,
    cookies: p.common.cookies,
    cookiesForUpstream: p.common.cookiesForUpstream,
    authorization: p.common.authorization,
    csrf: p.common.csrf,
    preflight: p.common.preflight,
    preflightMethod: p.common.preflightMethod,
    overrides: p.common.overrides,
    wants: p.wants,
    correlationId: p.correlationId,
    pinned: p.pinned,
    again: p.again,
  }
}

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
