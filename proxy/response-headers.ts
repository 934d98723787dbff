import { isOurCookie } from '../middleware/mouths/request-headers.ts'
import { compileHopByHop } from './hop-by-hop.ts'
import { rewriteLocation } from './location.ts'
import { eachHeader } from './request-headers.ts'
import type { UpstreamTarget } from './types.ts'

/** A status that may be sent on: Node's writeHead throws for others, and 1xx are no answers. */
export function isFinalStatus(status: number | undefined): status is number {
  return status !== undefined && status >= 200 && status <= 599
}

/**
 * An upstream's header lines (names and values in turn), in order and apart as they came, without what ends at this hop, without
 * a Set-Cookie that would overwrite ours, and without `X-BFF-Error`: an answer that bears it is ours.
 */
export function buildResponseHeaders(lines: readonly string[], target: UpstreamTarget, cookieName: string): string[] {
  const ends = compileHopByHop(lines)
  const out: string[] = []
  eachHeader(lines, (name, lower, value) => {
    if (ends(lower) || lower === 'x-bff-error') return
    if (lower === 'set-cookie' && setsOurs(value, cookieName)) return
    out.push(name, lower === 'location' || lower === 'content-location' ? rewriteLocation(value, target) : value)
  })
  return out
}

function setsOurs(line: string, cookieName: string): boolean {
  const pair = line.split(';')[0] ?? ''
  const cut = pair.indexOf('=')
  // Without `=` browsers take the whole as a value of a nameless cookie, which is sent back like a name.
  return (
    isOurCookie((cut === -1 ? pair : pair.slice(0, cut)).trim(), cookieName) ||
    (cut === 0 && isOurCookie(pair.slice(1).split('=')[0]?.trim() ?? '', cookieName))
  )
}
