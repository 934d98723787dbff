import type { RawRequest, RequestFacts } from '../types.ts'
import { parseAddress } from './address.ts'
import { lowerCase } from './header-lines.ts'
import { memoize } from '../memo.ts'
import { eachCookie } from '../session/cookie.ts'
import { CSRF_COOKIE, CSRF_HEADER } from '../session/csrf.ts'

/** Longest Cookie header that is looked at: four times what RFC 6265 §6.1 asks of a browser for one cookie. */
const MAX_COOKIES = 16_384

/** The host that a browser asked for: X-Forwarded-Host of a believed peer, else Host. Empty where there is not exactly one. */
export function hostOf(raw: RawRequest, trusted: boolean): string {
  const forwarded = raw.all('x-forwarded-host')
  const hosts = trusted && forwarded.length > 0 ? forwarded : raw.all('host')
  return hosts.length === 1 ? (hosts[0] ?? '') : ''
}

/**
 * The client's address: `hops` places from the right of the configured header, where the peer may be believed and what
 * stands there is an address (CVE-2024-47070: `X-Forwarded-For: a`); else the peer's own.
 */
export function clientAddress(
  raw: RawRequest,
  trusted: boolean,
  source: { readonly header: string; readonly hops: number },
): string {
  return (trusted ? forwardedAddress(raw, source) : undefined) ?? peerAddress(raw)
}

/** The other end of the connection. */
export function peerAddress(raw: RawRequest): string {
  return parseAddress(raw.peer.address) ?? raw.peer.address
}

/**
 * Whether the address is that of many: a believed peer forwarded the request and did not say for whom. A limit per
 * address would then throttle everybody behind that gateway at once.
 */
export function isSharedAddress(
  raw: RawRequest,
  trusted: boolean,
  source: { readonly header: string; readonly hops: number },
): boolean {
  if (!trusted || forwardedAddress(raw, source) !== undefined) return false
  return raw.all('x-forwarded-host').length > 0 || raw.all(lowerCase(source.header)).length > 0
}

/** What a believed gateway says of its client; undefined where it does not say, so that only the gateway itself is seen. */
export function forwardedAddress(
  raw: RawRequest,
  source: { readonly header: string; readonly hops: number },
): string | undefined {
  const lines = raw.all(lowerCase(source.header))
  const [only] = lines
  if (only === undefined) return undefined
  // What most gateways send: one address.
  if (lines.length === 1 && source.hops === 1 && !only.includes(',')) return parseAddress(only.trim())
  const list = lines.join(',').split(',')
  return parseAddress(list[list.length - source.hops]?.trim() ?? '')
}

/** W3C Trace Context: the trace id names a request through every service; else we make one of the same shape. */
export function correlationId(raw: RawRequest, random: (bytes: number) => Uint8Array): string {
  const traceparent = raw.all('traceparent')[0]
  const given =
    traceparent === undefined
      ? undefined
      : /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(traceparent)?.[1]
  if (given !== undefined && !/^0+$/.test(given)) return given
  return newId(random)
}

type Random = (bytes: number) => Uint8Array

const ID_BYTES = 16
const IDS = 256
const pools = new WeakMap<Random, { readonly hex: string; at: number }>()

/** Made many at a time: to ask for the bytes of one and spell them costs as much as to read the whole request. */
function newId(random: Random): string {
  let pool = pools.get(random)
  if (pool === undefined || pool.at >= pool.hex.length) {
    pool = { hex: Buffer.from(random(ID_BYTES * IDS)).toString('hex'), at: 0 }
    pools.set(random, pool)
  }
  pool.at += 2 * ID_BYTES
  return pool.hex.slice(pool.at - 2 * ID_BYTES, pool.at)
}

const ONCE = ['origin', 'sec-fetch-site', 'sec-fetch-mode', 'sec-fetch-dest', CSRF_HEADER] as const

/**
 * What the CSRF checks go by; or which of those headers came twice: the one that we read might not be the one that a browser
 * wrote.
 */
export function readCsrf(raw: RawRequest): RequestFacts['csrf'] | (typeof ONCE)[number] {
  const [token, origin] = [raw.all(CSRF_HEADER), raw.all('origin')]
  const [site, mode, dest] = [raw.all('sec-fetch-site'), raw.all('sec-fetch-mode'), raw.all('sec-fetch-dest')]
  const most = Math.max(token.length, origin.length, site.length, mode.length, dest.length)
  const repeated = most > 1 ? ONCE.find((name) => raw.all(name).length > 1) : undefined
  return repeated ?? { token: token[0], origin: origin[0], site: site[0], mode: mode[0], dest: dest[0] }
}

/**
 * Who waits for the answer. A navigation is a top-level GET or HEAD of a person: Fetch Metadata says so where the browser
 * sends it (never a frame or a prefetch), else an Accept that asks for HTML.
 */
export function whoWaits(
  raw: RawRequest,
  method: string,
  upgrade: boolean,
  { mode, dest }: RequestFacts['csrf'],
): RequestFacts['wants'] {
  if (upgrade) return 'upgrade'
  if (method !== 'GET' && method !== 'HEAD') return 'fetch'
  const purpose = raw.all('sec-purpose')[0] ?? raw.all('purpose')[0] ?? ''
  if (purpose.includes('prefetch')) return 'fetch'
  if (mode !== undefined) return mode === 'navigate' && (dest ?? 'document') === 'document' ? 'navigation' : 'fetch'
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
  let forUpstream = ''
  eachCookie(lines, (name, value, pair) => {
    if (name === sessionName) {
      if (!session.includes(value)) session.push(value)
    } else if (!isOurCookie(name, sessionName) && !namesOurs(pair, sessionName))
      forUpstream = forUpstream === '' ? pair : `${forUpstream}; ${pair}`
  })
  return { session, forUpstream }
}

/**
 * Whether a cookie's text holds one of ours as another server would split it: lines joined by a comma (Envoy, some HTTP/2
 * gateways), a quoted name, `$Version` syntax. Such a pair is dropped whole.
 */
function namesOurs(pair: string, sessionName: string): boolean {
  if (!/[,"'\s]/.test(pair)) return false
  return pair.split(/[,"'\s]+/).some((part, i, all) => {
    const cut = part.indexOf('=')
    // `"name"=value` is cut at the quote, so its value begins the next part.
    const named = cut > 0 ? part.slice(0, cut) : all[i + 1]?.startsWith('=') === true ? part : ''
    return named !== '' && isOurCookie(named, sessionName)
  })
}

/** Cookie names of ours, and names that another parser could take for them. */
export function isOurCookie(name: string, sessionName: string): boolean {
  const plain = plainName(name)
  return plain === plainName(sessionName) || plain === CSRF_COOKIE || plain.startsWith('bff_login')
}

/** Without the prefixes that tell browsers something, in lower case. */
const plainName = memoize(
  (name) => (name.startsWith('__') ? name.replace(/^__(?:host|secure)-/i, '') : name).toLowerCase(),
  1000,
  64,
)
