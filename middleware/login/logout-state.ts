import { endpointPath, setCookies, withHeaders, type LoginDeps } from './deps.ts'
import type { Answer, BrowserRequest } from '../types.ts'

/** Lives on the path of the page that it is for, as long as a sign-out at the provider may take. */
const COOKIE = 'bff_logout_state'
const LIFE_S = 10 * 60

/** Where a provider sends people after signing out, when nothing else is configured. */
function loggedOutPath(deps: Pick<LoginDeps, 'now'>): string {
  return endpointPath(deps.now, 'logged-out')
}

/**
 * `state` of RP-Initiated Logout 1.0 §2, with the cookie that tells it again; undefined where the way back does not lead to
 * our own page, since nobody would check it there.
 */
export function makeLogoutState(
  after: string,
  deps: LoginDeps,
): { readonly state: string; readonly cookie: string } | undefined {
  const path = loggedOutPath(deps)
  if (new URL(after).pathname !== path) return undefined
  const state = Buffer.from(deps.random(16)).toString('base64url')
  return { state, cookie: cookieLine(state, path, LIFE_S) }
}

/**
 * `GET /auth/logged-out`: for anybody. A `state` that is not the one this browser left with (§3) is an answer to somebody
 * else's sign-out: the page must not say that this one worked.
 */
export function loggedOut(r: BrowserRequest, deps: LoginDeps): Answer {
  const base = deps.now.settings.server.basePath
  const states = r.query.getAll('state')
  const sent = r.cookies.get(COOKIE) ?? []
  const [state] = states
  if (state !== undefined && (states.length > 1 || !sent.includes(state)))
    return deps.errorAnswer({ code: 'LOGOUT_STATE_MISMATCH', signOutUrl: `${base}/logout` }, r)
  const page = deps.pages.loggedOut({ loginUrl: `${base}/login` }, r)
  return sent.length === 0 ? page : withHeaders(page, setCookies([cookieLine('', loggedOutPath(deps), 0)]))
}

function cookieLine(value: string, path: string, maxAgeS: number): string {
  return `${COOKIE}=${value}; Path=${path}; Max-Age=${maxAgeS}; HttpOnly; SameSite=Lax; Secure`
}
