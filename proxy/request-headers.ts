import type { IncomingMessage } from 'node:http'
import { lowerCase } from '../middleware/mouths/header-lines.ts'
import { CSRF_HEADER } from '../middleware/session/csrf.ts'
import { hasBody } from './check-request.ts'
import { addressOf } from './address.ts'
import { compileHopByHop } from './hop-by-hop.ts'
import type { Forward } from './types.ts'

/** Header lines by name; several lines of one name stay apart. Names keep the case they came in, for old upstreams. */
export type OutgoingHeaders = Record<string, string | string[]>

/** Said anew by us, or never meant for an upstream. `Expect` was answered by Node already. */
const REPLACED: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'x-bff-error',
  'x-real-ip',
  CSRF_HEADER,
])

/**
 * The headers for the upstream: delete, then set. What ends at this hop, what only we may say, every `X-Forwarded-*` and
 * its aliases (`X_Forwarded_User`) go; then framing, addresses, cookies and the verdict's own are set.
 */
export function buildRequestHeaders(req: IncomingMessage, v: Forward): OutgoingHeaders {
  const out: OutgoingHeaders = {}
  /** One key a name, whatever its case: two would be two headers to Node. */
  const keys = new Map<string, string>()
  const ends = compileHopByHop(req.rawHeaders)
  const setByUs = new Set(v.set.map(([name]) => lowerCase(name)))
  eachHeader(req.rawHeaders, (name, lower, value) => {
    if (ends(lower) || setByUs.has(lower) || isForwarding(lower)) return
    if (REPLACED.has(lower) ? lower !== 'authorization' || !v.passAuthorization : v.removeNames(lower)) return
    append(out, keys, name, lower, value)
  })
  const put = (name: string, value: string): void => {
    keys.set(name, name)
    out[name] = value
  }
  put('host', addressOf(v.target.base).host)
  frame(req, put)
  if (v.cookies !== '') put('cookie', v.cookies)
  put('x-forwarded-for', v.forwarded.for)
  put('x-forwarded-proto', v.forwarded.proto)
  put('x-forwarded-host', v.forwarded.host)
  for (const [name, value] of v.set) append(out, keys, name, lowerCase(name), value)
  return out
}

/** What makes an upstream switch to WebSocket (RFC 6455 §4.1). `Sec-WebSocket-*` pass as they came. */
export function buildUpgradeHeaders(req: IncomingMessage, v: Forward): OutgoingHeaders {
  return { ...buildRequestHeaders(req, v), connection: 'Upgrade', upgrade: 'websocket' }
}

/**
 * Framing is ours to say, from what the parser found and never from a header that `Connection` could name: a body whose
 * length nobody announced would be read as the next request (CVE-2026-29057, chunked DELETE and OPTIONS).
 */
function frame(req: IncomingMessage, put: (name: string, value: string) => void): void {
  if (req.headers['transfer-encoding'] !== undefined) put('transfer-encoding', 'chunked')
  else if (hasBody(req)) put('content-length', req.headers['content-length'] ?? '0')
}

const isForwarding = (lower: string): boolean => lower.startsWith('x') && /^x[^a-z0-9]forwarded/.test(lower)

export function eachHeader(
  rawHeaders: readonly string[],
  visit: (name: string, lower: string, value: string) => void,
): void {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    visit(name, lowerCase(name), rawHeaders[i + 1] ?? '')
  }
}

function append(out: OutgoingHeaders, keys: Map<string, string>, name: string, lower: string, value: string): void {
  const key = keys.get(lower)
  if (key === undefined) {
    keys.set(lower, name)
    out[name] = value
    return
  }
  const before = out[key]
  out[key] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value]
}
