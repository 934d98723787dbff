import type { SessionSettings } from '../../config/types.ts'

/**
 * `Set-Cookie` lines that take the session cookie out of a browser: the host-only one, and the one of `cookie_domain`, or,
 * where none is configured, of each parent domain of the host, since a planted one may sit there.
 */
export function expireCookies(
  s: Pick<SessionSettings, 'cookieName' | 'cookieDomain' | 'sameSite'>,
  hostname: string,
): string[] {
  const base = `${s.cookieName}=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=${s.sameSite}`
  if (/^__host-/i.test(s.cookieName)) return [base]
  return [base, ...domainsToClear(s.cookieDomain, hostname).map((d) => `${base}; Domain=${d}`)]
}

function domainsToClear(configured: string | undefined, hostname: string): string[] {
  if (configured !== undefined) return [configured]
  const labels = hostname.split('.')
  // An address, or a name of one label, has no parent domain.
  if (labels.length < 3 || /^[\d.]+$/.test(hostname) || hostname.startsWith('[')) return []
  return labels.slice(1, -1).map((_, i) => labels.slice(i + 1).join('.'))
}
