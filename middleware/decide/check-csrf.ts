import { checkCsrfToken, isUnnamedSelf } from '../session/csrf.ts'
import type { Context, DecideDeps, Decision, Refuse, RequestFacts } from '../types.ts'

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * Cross-site request forgery, by the route's `csrf`. Fetch Metadata and Origin stand before the token; their absence
 * proves nothing, since `Connection: Origin, Sec-Fetch-Site` removes them on the way, so where they are the only proof
 * and missing, the answer is no. Machine callers carry no ambient credential and are not asked.
 */
export function checkCsrf(c: Context, deps: DecideDeps): Decision | undefined {
  const { facts, route, principal } = c
  if (route === undefined || principal?.kind !== 'user') return undefined
  const refuse = (why: string): Refuse => ({ kind: 'refuse', code: 'CSRF_FAILED', why, route, principal })
  if (facts.wants === 'upgrade') {
    // A WebSocket is no fetch: the same-origin policy does not cover it, only this check does.
    return isOurs(facts, deps) ? undefined : refuse('upgrade from a foreign Origin')
  }
  if (isForeignFetch(facts, deps)) return refuse('cross-site fetch')
  if (route.csrf === 'off') return undefined
  const unsafe = !SAFE.has(facts.method) || facts.overrides.some((method) => !SAFE.has(method))
  if (!unsafe && route.csrf !== 'strict') return undefined
  if (facts.csrf.origin !== undefined && !isOurs(facts, deps) && !isUnnamedSelf(facts.csrf))
    return refuse('foreign Origin')
  if (route.csrf === 'origin')
    return provesOrigin(facts, deps) ? undefined : refuse('neither Origin nor Sec-Fetch-Site says same origin')
  const token = facts.csrf.token
  if (token === undefined) return refuse('no CSRF token')
  return checkCsrfToken(token, principal.session.id, deps.cookies.csrf)
    ? undefined
    : refuse('CSRF token is not of this session')
}

function isForeignFetch(f: RequestFacts, deps: DecideDeps): boolean {
  const { site, mode } = f.csrf
  // Whatever else it says was not written by a browser.
  if (site === undefined || site === 'same-origin' || site === 'none') return false
  return mode !== 'navigate' && !isOurs(f, deps)
}

function provesOrigin(f: RequestFacts, deps: DecideDeps): boolean {
  if (f.csrf.origin !== undefined && !isUnnamedSelf(f.csrf)) return isOurs(f, deps)
  return f.csrf.site === 'same-origin'
}

/** Our own origins, and those that `server.cors_origins` lets ask. */
function isOurs(f: RequestFacts, deps: DecideDeps): boolean {
  const origin = f.csrf.origin
  return origin !== undefined && (deps.now.isOurOrigin(origin) || deps.now.settings.server.corsOrigins.includes(origin))
}
