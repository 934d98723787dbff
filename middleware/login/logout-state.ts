import { loginOrigin, loginUrl } from './addresses.ts'
import { endpointPath, setCookies, withHeaders, type LoginDeps } from './deps.ts'
import type { Answer, BrowserRequest } from '../types.ts'

/** Lives on the path of the page that it is for, as long as a sign-out at the provider may take. */
const COOKIE = 'bff_logout_state'
const LIFE_S = 10 * 60

/** Where a provider sends people after signing out, when nothing else is configured. */
function loggedOutPath(deps: Pick<LoginDeps, 'now'>): string {
  return endpointPath(deps.now, 'logged-out')
}

export interface LogoutState {
  readonly state: string
  readonly cookies: readonly string[]
  /** The page on the login host, told the same without a provider in between; undefined where it is on this host. */
  readonly direct?: string
}

/**
 * `state` of RP-Initiated Logout 1.0 §2, with the cookie that tells it again; undefined where the way back does not lead to
 * our own page, since nobody would check it there. Where that page is on the login host, the cookie reaches there by
 * `cookie_domain`, and the state holds where home is.
 */
export function makeLogoutState(after: string, r: BrowserRequest, deps: LoginDeps): LogoutState | undefined {
  const path = loggedOutPath(deps)
  const url = new URL(after)
  if (url.pathname !== path) return undefined
  const random = Buffer.from(deps.random(16)).toString('base64url')
  const login = loginOrigin(r.origin, deps.now)
  if (login === r.origin || url.origin !== login) return { state: random, cookies: [cookieLine(random, path, LIFE_S)] }
  const state = `${random}.${Buffer.from(r.origin).toString('base64url')}`
  url.searchParams.set('state', state)
  const cookies = [cookieLine(state, path, LIFE_S, deps.now.settings.session.cookieDomain)]
  return { state, cookies, direct: url.href }
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
  const home = homeOf(state, deps) ?? r.origin
  const homeUrl = home === r.origin ? '/' : `${home}/`
  // The sign-in of the login host, whichever host it is for, is this very host's.
  const signIn = loginUrl(r.origin, deps.now, home === r.origin ? {} : { return_to: homeUrl })
  const page = deps.pages.loggedOut({ loginUrl: signIn, homeUrl }, r)
  return sent.length === 0 ? page : withHeaders(page, setCookies(clearLines(r, deps)))
}

/** Believed only where it is an origin of ours, whoever wrote the cookie. */
function homeOf(state: string | undefined, deps: LoginDeps): string | undefined {
  const coded = state?.split('.')[1]
  const origin = coded === undefined ? '' : Buffer.from(coded, 'base64url').toString()
  return deps.now.isOurOrigin(origin) ? origin : undefined
}

function clearLines(r: BrowserRequest, deps: LoginDeps): string[] {
  const { server, session } = deps.now.settings
  const path = loggedOutPath(deps)
  const shared = server.loginOrigin === r.origin && session.cookieDomain !== undefined
  return [cookieLine('', path, 0), ...(shared ? [cookieLine('', path, 0, session.cookieDomain)] : [])]
}

function cookieLine(value: string, path: string, maxAgeS: number, domain?: string): string {
  const below = domain === undefined ? '' : `; Domain=${domain}`
  return `${COOKIE}=${value}; Path=${path}; Max-Age=${maxAgeS}; HttpOnly; SameSite=Lax; Secure${below}`
}
