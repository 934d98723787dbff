import type { Generation, RawRequest, RequestFacts } from '../types.ts'
import { isPrivateAddress } from './address.ts'
import { NONE } from './header-lines.ts'
import { forwardedAddress, peerAddress, readCookies, readCsrf, whoWaits } from './request-headers.ts'

/**
 * Method words that are decided on; another case is another word (RFC 9110 §9.1), and nobody's route. TRACE (§9.3.8, and the
 * TRACK of some servers) sends a request's headers back, our token among them; CONNECT opens a tunnel.
 */
export const METHOD = /^(?!(?:TRACE|TRACK|CONNECT)$)[A-Z]{1,32}$/

/** What a mouth reads in a way of its own. */
interface OwnParts extends Pick<RequestFacts, 'mouth' | 'method' | 'correlationId' | 'pinned' | 'again'> {
  readonly origin: Pick<RequestFacts, 'origin' | 'hostname'>
  readonly target: Pick<RequestFacts, 'path' | 'query' | 'encoded'>
  readonly upgrade: boolean
  /** Whether forwarded headers count. */
  readonly trusted: boolean
}

/** With what every mouth reads alike, the facts of a request; a text says why it is refused. */
export function readFacts(raw: RawRequest, now: Generation, own: OwnParts): RequestFacts | string {
  const { method, trusted, target } = own
  const cookies = readCookies(raw.all('cookie'), now.settings.session.cookieName)
  if (cookies === 'too_large') return 'cookies too large'
  const authorization = raw.all('authorization')
  if (authorization.length > 1) return 'Authorization repeated'
  const csrf = readCsrf(raw)
  if (typeof csrf === 'string') return `${csrf} repeated`
  const overrides = readOverrides(raw)
  if (overrides.length > 0 && !overrides.every((m) => METHOD.test(m))) return 'a method override that is no method'
  // CORS: OPTIONS with Origin and Access-Control-Request-Method asks on behalf of another method.
  const asked = method === 'OPTIONS' ? raw.all('access-control-request-method')[0] : undefined
  const preflight = csrf.origin !== undefined && asked !== undefined
  const forwarded = trusted ? forwardedAddress(raw, now.settings.server.clientIp) : undefined
  return {
    mouth: own.mouth,
    method,
    origin: own.origin.origin,
    hostname: own.origin.hostname,
    path: target.path,
    query: target.query,
    encoded: target.encoded,
    wants: whoWaits(raw, method, own.upgrade, csrf),
    acceptLanguage: raw.all('accept-language')[0] ?? '',
    clientIp: forwarded ?? peerAddress(raw),
    clientIpUnknown: forwarded === undefined && (trusted || mayBeGateway(raw, now)),
    correlationId: own.correlationId,
    cookies: cookies.session,
    cookiesForUpstream: cookies.forUpstream,
    authorization: authorization[0],
    csrf,
    preflight,
    preflightMethod: preflight ? asked : undefined,
    overrides,
    pinned: own.pinned,
    again: own.again,
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
