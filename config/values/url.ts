import { Refused } from '../finding.ts'
import type { PublicUrl } from '../types.ts'
import { isLoopback } from './net.ts'

/** Parsed, or undefined. Blanks and controls are refused before WHATWG's parser would drop them silently. */
function url(text: string): URL | undefined {
  if (/[\u0000-\u0020\u007f\\]/.test(text) || !/^https?:\/\/[^/]/i.test(text)) return undefined
  return URL.parse(text) ?? undefined
}

const bare = (u: URL, text: string): boolean => u.username === '' && u.password === '' && !text.includes('#')

/** An issuer (OpenID Connect Discovery §4.1; RFC 8414 §2): https, no query, no fragment. http on loopback only. */
export function parseIssuer(text: string): URL | Refused {
  const mend = 'Write it exactly as the provider does: https://idp.example.com/realm. http is for loopback only.'
  const u = url(text)
  if (u === undefined || !bare(u, text) || text.includes('?'))
    return new Refused('BAD_ISSUER', 'this is not an issuer: http(s), no query, no fragment, no user', mend)
  if (u.protocol === 'http:' && !isLoopback(u.hostname))
    return new Refused('ISSUER_INSECURE', 'the issuer is http and not on loopback', mend)
  return u
}

/** A token endpoint of its own: https (RFC 6749 §3.2), http on loopback only. */
export function parseEndpoint(text: string): URL | Refused {
  const u = url(text)
  const mend = 'Write an https address without user and fragment. http is for loopback only.'
  if (u === undefined || !bare(u, text)) return new Refused('BAD_URL', 'this is not an endpoint address', mend)
  if (u.protocol === 'http:' && !isLoopback(u.hostname))
    return new Refused('ENDPOINT_INSECURE', 'client credentials would go over plain http', mend)
  return u
}

/** Where an upstream answers. http is fine: it is the operator's own network. */
export function parseBaseUrl(text: string): URL | Refused {
  const u = url(text)
  if (u === undefined || !bare(u, text) || text.includes('?'))
    return new Refused(
      'BAD_BASE_URL',
      'this is not a base address',
      'Write http(s)://host:port, a path if need be, no query, no user.',
    )
  return u
}

/** An origin of ours: `https://app.example.com`, `https://*.apps.example.com` (one label). http on loopback only. */
export function parsePublicUrl(text: string): PublicUrl | Refused {
  const mend = 'Write scheme and host, a port if need be: https://app.example.com or https://*.apps.example.com.'
  const u = url(text)
  if (u === undefined || !bare(u, text) || text.includes('?') || u.pathname !== '/')
    return new Refused('BAD_PUBLIC_URL', 'this is not a public origin: no path, no query, no user', mend)
  const hostname = u.hostname.toLowerCase().replace(/\.$/, '')
  const wildcard = hostname.startsWith('*.')
  const labels = (wildcard ? hostname.slice(2) : hostname).split('.')
  if (hostname.replace(/^\*\./, '').includes('*') || labels.includes('') || (wildcard && labels.length < 2))
    return new Refused('BAD_PUBLIC_URL', 'a star stands for one label, in front of a domain of two or more', mend)
  if (u.protocol === 'http:' && !isLoopback(hostname))
    return new Refused('PUBLIC_URL_INSECURE', 'the session cookie is Secure: a browser never sends it over http', mend)
  return { protocol: u.protocol === 'http:' ? 'http:' : 'https:', hostname, port: u.port, wildcard }
}

/** A public URL as an origin is written (RFC 6454 §6.1), for one of the hosts it stands for. */
export function originText(u: PublicUrl, hostname: string = u.hostname): string {
  return `${u.protocol}//${hostname}${u.port === '' ? '' : `:${u.port}`}`
}

/** Whether `pattern` covers the origin of `u`: scheme and port the same, host by {@link hostFits}. */
export function originFits(u: PublicUrl, pattern: PublicUrl): boolean {
  return u.protocol === pattern.protocol && u.port === pattern.port && hostFits(u.hostname, pattern.hostname)
}

/** The origin of a browser (RFC 6454), as an Origin header says it. */
export function parseOrigin(text: string): string | Refused {
  const u = url(text)
  if (u === undefined || u.origin !== text.toLowerCase() || text.includes('*'))
    return new Refused(
      'BAD_ORIGIN',
      'this is not an origin',
      'Write scheme://host, a port if it is not the usual one, nothing after it.',
    )
  return u.origin
}

/** After a logout: a path of ours, or a whole address. */
export function parseReturn(text: string): string | Refused {
  const u = url(text)
  if (u !== undefined && bare(u, text)) return text
  // `//host` and `/\host` leave the origin (GHSA-qqxw).
  if (/^\/(?![/\\])[!-~]*$/.test(text) && !text.includes('\\')) return text
  return new Refused('BAD_RETURN', 'this is neither a path nor an http(s) address', 'Write /a/path, or https://…')
}

/** Whether `hostname` is what `pattern` (a {@link PublicUrl.hostname}) stands for; a star is one label. */
export function hostFits(hostname: string, pattern: string): boolean {
  if (!pattern.startsWith('*.')) return hostname === pattern
  const dot = hostname.indexOf('.')
  return hostname === pattern || (dot > 0 && hostname.slice(dot) === pattern.slice(1))
}
