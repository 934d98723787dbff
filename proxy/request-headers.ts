import type { IncomingMessage } from 'node:http'
import { CSRF_HEADER } from '../middleware/session/csrf.ts'
import { hasBody } from './check-request.ts'
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
  const ends = compileHopByHop(req.rawHeaders)
  const setByUs = new Set(v.set.map(([name]) => name.toLowerCase()))
  eachHeader(req.rawHeaders, (name, lower, value) => {
    if (ends(lower) || setByUs.has(lower) || isForwarding(lower)) return
    if (REPLACED.has(lower) ? lower !== 'authorization' || !v.passAuthorization : v.removeNames(lower)) return
    append(out, name, lower, value)
  })
  out['host'] = v.target.base.host
  frame(req, out)
  if (v.cookies !== '') out['cookie'] = v.cookies
  out['x-forwarded-for'] = v.forwarded.for
  out['x-forwarded-proto'] = v.forwarded.proto
  out['x-forwarded-host'] = v.forwarded.host
  for (const [name, value] of v.set) append(out, name, name.toLowerCase(), value)
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
function frame(req: IncomingMessage, out: OutgoingHeaders): void {
  if (req.headers['transfer-encoding'] !== undefined) out['transfer-encoding'] = 'chunked'
  else if (hasBody(req)) out['content-length'] = req.headers['content-length'] ?? '0'
}

const isForwarding = (lower: string): boolean => /^x[^a-z0-9]forwarded/.test(lower)

export function eachHeader(
  rawHeaders: readonly string[],
  visit: (name: string, lower: string, value: string) => void,
): void {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    visit(name, name.toLowerCase(), rawHeaders[i + 1] ?? '')
  }
}

function append(out: OutgoingHeaders, name: string, lower: string, value: string): void {
  // One key a name, whatever its case: two would be two headers to Node.
  const key = name in out ? name : (Object.keys(out).find((k) => k.toLowerCase() === lower) ?? name)
  const before = out[key]
  out[key] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value]
}
