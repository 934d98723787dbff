import type { IncomingMessage } from 'node:http'
import { rawFromHttp1 } from '../mouths/http1.ts'
import { clientAddress, correlationId, hostOf, isSharedAddress, readCsrf } from '../mouths/request-headers.ts'
import { eachCookie } from '../session/cookie.ts'
import type { BrowserRequest, Generation, RawRequest } from '../types.ts'

/**
 * Reads a request to one of our own endpoints. Host and client address come from forwarded headers only behind a
 * configured peer; X-Forwarded-Method, -Uri and -Prefix are read from nobody. A text says why it is refused.
 */
export function readBrowserRequest(
  req: IncomingMessage & { readonly body?: unknown },
  now: Generation,
  random: (bytes: number) => Uint8Array,
): BrowserRequest | string {
  const raw = rawFromHttp1(req)
  const trusted = raw.peer.certified || now.isTrustedPeer(raw.peer.address)
  const origin = now.originOf(hostOf(raw, trusted))
  if (origin === undefined) return 'host is not in public_url'
  const csrf = readCsrf(raw)
  if (typeof csrf === 'string') return `${csrf} repeated`
  const mark = raw.target.indexOf('?')
  return {
    method: raw.method,
    ...origin,
    path: mark === -1 ? raw.target : raw.target.slice(0, mark),
    query: new URLSearchParams(mark === -1 ? '' : raw.target.slice(mark + 1)),
    wants: wantsPage(raw) ? 'navigation' : 'fetch',
    acceptLanguage: raw.all('accept-language')[0] ?? '',
    correlationId: correlationId(raw, random),
    clientIp: clientAddress(raw, trusted, now.settings.server.clientIp),
    sharedAddress: isSharedAddress(raw, trusted, now.settings.server.clientIp),
    userAgent: raw.all('user-agent')[0] ?? '',
    cookies: cookieMap(raw),
    csrf,
    body: bodyMap(req.body),
    contentType: raw.all('content-type')[0] ?? '',
  }
}

/** A form post is a navigation too: a person waits for the page. */
function wantsPage(raw: RawRequest): boolean {
  const mode = raw.all('sec-fetch-mode')[0]
  if (mode !== undefined) return mode === 'navigate'
  if (raw.all('x-requested-with').length > 0) return false
  return (raw.all('accept')[0] ?? '').toLowerCase().includes('text/html')
}

function cookieMap(raw: RawRequest): ReadonlyMap<string, readonly string[]> {
  const map = new Map<string, string[]>()
  eachCookie(raw.all('cookie'), (name, value) => {
    const values = map.get(name)
    if (values === undefined) map.set(name, [value])
    else values.push(value)
  })
  return map
}

function bodyMap(body: unknown): ReadonlyMap<string, string> {
  const map = new Map<string, string>()
  if (typeof body !== 'object' || body === null) return map
  for (const [name, value] of Object.entries(body)) if (typeof value === 'string') map.set(name, value)
  return map
}
