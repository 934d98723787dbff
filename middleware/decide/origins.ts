import type { PublicUrl } from '../../config/types.ts'
import { originText } from '../../config/values/url.ts'
import { memoize } from '../memo.ts'

interface Found {
  readonly origin: string
  readonly hostname: string
}

export interface Origins {
  readonly originOf: (host: string) => Found | undefined
  readonly looksPublic: (host: string) => boolean
  readonly isOurOrigin: (origin: string) => boolean
}

const DEFAULT_PORT = { 'http:': '80', 'https:': '443' } as const
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * The public origins, compiled. A host counts when it equals a configured one to the letter (CVE-2026-48794: another
 * case, a trailing dot or a foreign port is not ours); `https://*.apps.example.com` takes exactly one label. On the way of
 * every request, so that the cost is a lookup or two, however many hosts there are.
 */
export function compileOrigins(urls: readonly PublicUrl[]): Origins {
  const exact = new Map<string, Found>()
  /** By what stands behind the label: `.apps.example.com`, `.apps.example.com:8443`. */
  const below = new Map<string, PublicUrl>()
  for (const u of urls) {
    for (const host of hostForms(u)) {
      if (u.wildcard) setOnce(below, host.slice(1), u)
      else setOnce(exact, host, { origin: originText(u), hostname: u.hostname })
    }
  }
  const originOf = (host: string): Found | undefined => {
    const found = exact.get(host)
    if (found !== undefined || below.size === 0) return found
    const dot = host.indexOf('.')
    const u = dot === -1 ? undefined : below.get(host.slice(dot))
    if (u === undefined || !LABEL.test(host.slice(0, dot))) return undefined
    const hostname = host.slice(0, dot) + u.hostname.slice(1)
    return { origin: originText(u, hostname), hostname }
  }
  return {
    originOf,
    looksPublic: compileLooksPublic(urls),
    isOurOrigin: (origin) => {
      const at = origin.indexOf('://')
      return at !== -1 && originOf(origin.slice(at + 3))?.origin === origin
    },
  }
}

function setOnce<V>(map: Map<string, V>, key: string, value: V): void {
  if (!map.has(key)) map.set(key, value)
}

function hostForms(u: PublicUrl): string[] {
  return u.port === '' ? [u.hostname, `${u.hostname}:${DEFAULT_PORT[u.protocol]}`] : [`${u.hostname}:${u.port}`]
}

function compileLooksPublic(urls: readonly PublicUrl[]): (host: string) => boolean {
  const exact = Map.groupBy(
    urls.filter((u) => !u.wildcard),
    (u) => u.hostname,
  )
  const below = Map.groupBy(
    urls.filter((u) => u.wildcard),
    (u) => u.hostname.slice(1),
  )
  // A gateway asks under one or two names.
  return memoize(
    (host) => {
      const lower = host.toLowerCase()
      const hostname = lower.replace(/:[^\]]*$/, '').replace(/\.$/, '')
      const port = /:(\d+)$/.exec(lower)?.[1] ?? ''
      // A loopback name is shared by everything on the machine, so there the port tells us apart from the gateway.
      const counts = (u: PublicUrl): boolean =>
        !isLoopbackName(hostname) || port === u.port || port === DEFAULT_PORT[u.protocol]
      if (exact.get(hostname)?.some(counts) === true) return true
      // Here a star is any number of labels: for refusing, more is safer.
      for (let dot = hostname.indexOf('.'); below.size > 0 && dot !== -1; dot = hostname.indexOf('.', dot + 1))
        if (below.get(hostname.slice(dot))?.some(counts) === true) return true
      return false
    },
    100,
    256,
  )
}

/** Names and addresses that never leave the machine. */
export function isLoopbackName(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    /^127(?:\.\d{1,3}){3}$/.test(hostname)
  )
}
