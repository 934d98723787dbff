import type { PublicUrl } from '../../config/types.ts'

export interface Origins {
  originOf(host: string): { readonly origin: string; readonly hostname: string } | undefined
  looksPublic(host: string): boolean
  isOurOrigin(origin: string): boolean
}

const DEFAULT_PORT = { 'http:': '80', 'https:': '443' } as const
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * The public origins, compiled. A host counts when it equals a configured one to the letter (CVE-2026-48794: another
 * case, a trailing dot or a foreign port is not ours); `https://*.apps.example.com` takes exactly one label.
 */
export function compileOrigins(urls: readonly PublicUrl[]): Origins {
  const exact = new Map<string, { origin: string; hostname: string }>()
  const wild = urls.filter((u) => u.wildcard)
  for (const u of urls.filter((x) => !x.wildcard)) {
    const found = { origin: originText(u, u.hostname), hostname: u.hostname }
    for (const host of hostForms(u, u.hostname)) if (!exact.has(host)) exact.set(host, found)
  }
  const originOf = (host: string): { origin: string; hostname: string } | undefined => {
    const found = exact.get(host)
    if (found !== undefined) return found
    for (const u of wild) {
      const hostname = host.replace(/:\d+$/, '')
      if (coversLabel(u, hostname) && hostForms(u, hostname).includes(host))
        return { origin: originText(u, hostname), hostname }
    }
    return undefined
  }
  return {
    originOf,
    looksPublic: (host) => looksPublic(urls, host),
    isOurOrigin: (origin) => {
      const at = origin.indexOf('://')
      return at !== -1 && originOf(origin.slice(at + 3))?.origin === origin
    },
  }
}

function originText(u: PublicUrl, hostname: string): string {
  return `${u.protocol}//${hostname}${u.port === '' ? '' : `:${u.port}`}`
}

function hostForms(u: PublicUrl, hostname: string): string[] {
  return u.port === '' ? [hostname, `${hostname}:${DEFAULT_PORT[u.protocol]}`] : [`${hostname}:${u.port}`]
}

function coversLabel(u: PublicUrl, hostname: string): boolean {
  const suffix = u.hostname.slice(1)
  return hostname.endsWith(suffix) && LABEL.test(hostname.slice(0, -suffix.length))
}

function looksPublic(urls: readonly PublicUrl[], host: string): boolean {
  const lower = host.toLowerCase()
  const hostname = lower.replace(/:[^\]]*$/, '').replace(/\.$/, '')
  const port = /:(\d+)$/.exec(lower)?.[1] ?? ''
  return urls.some((u) => {
    const same = u.wildcard ? hostname.endsWith(u.hostname.slice(1)) : hostname === u.hostname
    // A loopback name is shared by everything on the machine, so there the port tells us apart from the gateway.
    return (
      same && (!isLoopbackName(hostname) || port === (u.port === '' ? '' : u.port) || port === DEFAULT_PORT[u.protocol])
    )
  })
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
