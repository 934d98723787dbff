import type { Generation } from '../types.ts'

/** Longest `return_to` that is followed. */
export const LONGEST_RETURN_TO = 2000

/**
 * Where to go after signing in: always an absolute URL on one of our origins, whatever was asked. The decision is made on
 * the URL as a browser parses it (WHATWG), and what is sent is that parsed URL, so no spelling (`/\evil`, `//evil`, a tab,
 * userinfo, `/.//evil`) leads off the site (GHSA-qqxw, -j7px, -5m6c, -4mf2, CVE-2024-52289). What points into our own
 * endpoints becomes `/`: it would loop or log out.
 */
export function parseReturnTo(
  asked: string | null | undefined,
  origin: string,
  now: Pick<Generation, 'originOf' | 'settings'>,
): string {
  const home = `${origin}/`
  if (asked === null || asked === undefined || asked === '' || asked.length > LONGEST_RETURN_TO) return home
  // Controls and backslashes are where parsers disagree; nobody needs them in an address.

  if (/[\u0000-\u0020\u007f\\]/.test(asked)) return home
  if (!asked.startsWith('/') && !/^https?:\/\//i.test(asked)) return home
  if (asked.startsWith('//') || !URL.canParse(asked, origin)) return home
  const url = new URL(asked, origin)
  if (url.username !== '' || url.password !== '') return home
  const ours = now.originOf(url.host)
  if (ours?.origin !== url.origin) return home
  return pointsToEndpoints(url.pathname, now.settings.server.basePath) ? `${url.origin}/` : url.href
}

function pointsToEndpoints(pathname: string, basePath: string): boolean {
  let plain = pathname
  try {
    plain = decodeURIComponent(pathname)
  } catch {
    return true
  }
  const path = plain.toLowerCase().replace(/\/{2,}/g, '/')
  return path === basePath.toLowerCase() || path.startsWith(`${basePath.toLowerCase()}/`)
}
