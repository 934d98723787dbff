import type { IncomingMessage } from 'node:http'
import { lowerCase } from '../middleware/mouths/header-lines.ts'
import { CSRF_HEADER } from '../middleware/session/csrf.ts'
import { hostOf } from './address.ts'
import { hasBody, isChunked } from './check-request.ts'
import { compileHopByHop } from './hop-by-hop.ts'
import type { Forward } from './types.ts'

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
 * The header lines for the upstream, names and values in turn: delete, then set. What ends at this hop, what only we may say,
 * every `X-Forwarded-*` and its aliases (`X_Forwarded_User`) go; then length, addresses, cookies and the verdict's own are set.
 * The client's lines stay apart and keep the case they came in, for old upstreams.
 *
 * How a body is framed is ours to say, from what the parser found and never from a header that `Connection` could name: a body
 * whose length nobody announced would be read as the next request (CVE-2026-29057, chunked DELETE and OPTIONS).
 */
export function buildRequestHeaders(req: IncomingMessage, v: Forward): string[] {
  const out: string[] = []
  const ends = compileHopByHop(req.rawHeaders)
  const setByUs = v.set.map(([name]) => lowerCase(name))
  eachHeader(req.rawHeaders, (name, lower, value) => {
    if (ends(lower) || setByUs.includes(lower) || isForwarding(lower)) return
    if (REPLACED.has(lower) ? lower !== 'authorization' || !v.passAuthorization : v.removeNames(lower)) return
    out.push(name, value)
  })
  out.push('host', hostOf(v.target.base))
  if (hasBody(req) && !isChunked(req)) out.push('content-length', req.headers['content-length'] ?? '0')
  if (v.cookies !== '') out.push('cookie', v.cookies)
  out.push('x-forwarded-for', v.forwarded.for)
  out.push('x-forwarded-proto', v.forwarded.proto)
  out.push('x-forwarded-host', v.forwarded.host)
  for (const [name, value] of v.set) out.push(name, value)
  return out
}

/**
 * The same by name, for httpxy, with what makes an upstream switch to WebSocket (RFC 6455 §4.1). `Sec-WebSocket-*` pass as they
 * came.
 */
export function buildUpgradeHeaders(req: IncomingMessage, v: Forward): Record<string, string | string[]> {
  const lines = buildRequestHeaders(req, v)
  if (isChunked(req)) lines.push('transfer-encoding', 'chunked')
  return { ...byName(lines), connection: 'Upgrade', upgrade: 'websocket' }
}

/** Repeated lines together, under the name of the first: two keys that differ in case would be two headers to Node. */
function byName(lines: readonly string[]): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {}
  const keys = new Map<string, string>()
  eachHeader(lines, (name, lower, value) => {
    const key = keys.get(lower) ?? name
    keys.set(lower, key)
    append(out, key, value)
  })
  return out
}

/** Adds a value to those of a name. */
export function append(to: Record<string, string | string[]>, key: string, value: string): void {
  const before = Object.hasOwn(to, key) ? to[key] : undefined
  to[key] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value]
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
