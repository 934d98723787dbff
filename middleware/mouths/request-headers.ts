import type { RawRequest, RequestFacts } from '../types.ts'
import { eachCookie } from '../session/cookie.ts'
import { CSRF_COOKIE, CSRF_HEADER } from '../session/csrf.ts'

/** Longest Cookie header that is looked at: four times what RFC 6265 §6.1 asks of a browser for one cookie. */
const MAX_COOKIES = 16_384

/** One header line, or undefined where there is none; 'repeated' where there are several. */
export function single(
  raw: RawRequest,
  name: string,
): { readonly value: string | undefined; readonly repeated: boolean } {
  const all = raw.all(name)
  return { value: all[0], repeated: all.length > 1 }
}

/** The host that a browser asked for: X-Forwarded-Host of a believed peer, else Host. Empty where there is not exactly one. */
export function hostOf(raw: RawRequest, trusted: boolean): string {
  const forwarded = single(raw, 'x-forwarded-host')
  if (trusted && forwarded.value !== undefined) return forwarded.repeated ? '' : forwarded.value
  const host = raw.all('host')
  return host.length === 1 ? (host[0] ?? '') : ''
}

/** The client's address: `hops` places from the right of the configured header, where the peer may be believed. */
export function clientAddress(
  raw: RawRequest,
  trusted: boolean,
  source: { readonly header: string; readonly hops: number },
): string {
  return (trusted ? forwardedAddress(raw, source) : undefined) ?? raw.peer.address
}

/** What a believed gateway says of its client; undefined where it does not say, so that only the gateway itself is seen. */
export function forwardedAddress(
  raw: RawRequest,
  source: { readonly header: string; readonly hops: number },
): string | undefined {
  const list = raw
    .all(source.header.toLowerCase())
    .join(',')
    .split(',')
    .map((s) => s.trim())
  return list[list.length - source.hops]?.replace(/^\[?([0-9a-fA-F:.]+?)\]?(?::\d+)?$/, '$1') || undefined
}

/** W3C Trace Context: the trace id names a request through every service; else we make one of the same shape. */
export function correlationId(raw: RawRequest, random: (bytes: number) => Uint8Array): string {
  const given = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(raw.all('traceparent')[0] ?? '')?.[1]
  if (given !== undefined && !/^0+$/.test(given)) return given
  return Buffer.from(random(16)).toString('hex')
}

export function readCsrf(raw: RawRequest): RequestFacts['csrf'] {
  return {
    token: raw.all(CSRF_HEADER)[0],
    origin: raw.all('origin')[0],
    site: raw.all('sec-fetch-site')[0],
    mode: raw.all('sec-fetch-mode')[0],
    dest: raw.all('sec-fetch-dest')[0],
  }
}

/**
 * Who waits for the answer. A navigation is a top-level GET or HEAD of a person: Fetch Metadata says so where the browser
 * sends it (never a frame or a prefetch), else an Accept that asks for HTML.
 */
export function whoWaits(raw: RawRequest, method: string, upgrade: boolean): RequestFacts['wants'] {
  if (upgrade) return 'upgrade'
  if (method !== 'GET' && method !== 'HEAD') return 'fetch'
  const purpose = raw.all('sec-purpose')[0] ?? raw.all('purpose')[0] ?? ''
  if (purpose.includes('prefetch')) return 'fetch'
  const mode = raw.all('sec-fetch-mode')[0]
  if (mode !== undefined)
    return mode === 'navigate' && (raw.all('sec-fetch-dest')[0] ?? 'document') === 'document' ? 'navigation' : 'fetch'
  if (raw.all('x-requested-with').length > 0) return 'fetch'
  return (raw.all('accept')[0] ?? '').toLowerCase().includes('text/html') ? 'navigation' : 'fetch'
}

export interface Cookies {
  /** Distinct values of the session cookie, as they came. */
  readonly session: readonly string[]
  /** Everything that is not ours, for the upstream; empty where nothing is left. */
  readonly forUpstream: string
}

/** Parts ours from the rest: the session cookie, the CSRF cookie and sign-in attempts never reach an upstream. */
export function readCookies(lines: readonly string[], sessionName: string): Cookies | 'too_large' {
  if (lines.length === 0) return { session: [], forUpstream: '' }
  let size = 0
  for (const line of lines) size += line.length
  if (size > MAX_COOKIES) return 'too_large'
  const session: string[] = []
  const rest: string[] = []
  eachCookie(lines, (name, value, pair) => {
    if (name === sessionName) {
      if (!session.includes(value)) session.push(value)
    } else if (!isOurCookie(name, sessionName)) rest.push(pair)
  })
  return { session, forUpstream: rest.join('; ') }
}

/** Cookie names of ours, and names that another parser could take for them. */
export function isOurCookie(name: string, sessionName: string): boolean {
  const plain = name.replace(/^__(?:host|secure)-/i, '').toLowerCase()
  return (
    plain === sessionName.replace(/^__(?:host|secure)-/i, '').toLowerCase() ||
    plain === CSRF_COOKIE ||
    plain.startsWith('bff_login')
  )
}
