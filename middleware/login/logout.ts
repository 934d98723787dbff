import { providerOfSession } from '../provider/of-session.ts'
import { readSessionCookie } from '../session/cookie.ts'
import { CSRF_COOKIE, checkCsrfToken, isUnnamedSelf, makeCsrfToken } from '../session/csrf.ts'
import { expireCookies } from '../session/expire-cookies.ts'
import type { Answer, BrowserRequest, LiveSession, Secret } from '../types.ts'
import { loginOrigin, loginUrl } from './addresses.ts'
import { judgeCookie, timeoutReason, type Judged } from './current-session.ts'
import { makeLogoutState } from './logout-state.ts'
import { answerJson, distinctCookies, redirect, setCookies, withHeaders, type LoginDeps } from './deps.ts'

/** `GET /auth/logout`: a link must not sign anybody out, so it shows a page with a form. */
export async function confirmLogout(r: BrowserRequest, deps: LoginDeps): Promise<Answer> {
  const base = deps.now.settings.server.basePath
  const session = (await judgedOf(r, deps))[0]?.session
  const key = deps.cookies.csrf[0]
  if (session === undefined || key === undefined)
    return deps.pages.notSignedIn({ loginUrl: loginUrl(r.origin, deps.now) }, r)
  const { name, email } = session.state.identity
  const who = typeof name === 'string' ? name : typeof email === 'string' ? email : session.record.sub
  const formTargets = await targetsOf(session, r, deps)
  return deps.pages.confirmLogout(
    { action: `${base}/logout`, csrfToken: makeCsrfToken(session.id, key, deps.random), who, formTargets },
    r,
  )
}

/**
 * `POST /auth/logout`: ends the session here and at the provider. No session left is success. Two cookies of one name end
 * whichever is valid. `everywhere=true` ends all of the user's sessions.
 */
export async function logout(r: BrowserRequest, deps: LoginDeps): Promise<Answer> {
  // Before all else: such a request comes without the cookie (SameSite=Lax), and to expire it would sign the person out.
  if (isForeign(r, deps)) return refuse(r, deps, 'logout from another site')
  const judged = await judgedOf(r, deps)
  const sessions = judged.map((j) => j.session)
  const session = sessions[0]
  if (session === undefined) return leave(r, deps, undefined, afterLogout(r, deps))
  const trusted = isTrusted(r, sessions, deps)
  if (!trusted && judged.every((j) => j.state === 'expired')) {
    // Its time was over anyhow, and with it the way to a token: no session left is success.
    for (const s of sessions) deps.ender.endLater([s.id], timeoutReason(s, deps))
    return leave(r, deps, undefined, afterLogout(r, deps))
  }
  if (!trusted) return refuse(r, deps, 'logout without a CSRF token of this session')
  const provider = providerOfSession(deps.providers, session.record)
  const hint = provider?.settings.logoutHint === 'id_token' ? await deps.vault.idToken(session.id) : undefined
  const everywhere = r.query.get('everywhere') === 'true' || r.body.get('everywhere') === 'true'
  const all = everywhere ? await deps.sessions.find({ issuer: session.record.issuer, sub: session.record.sub }) : []
  const ids = [...new Set([...sessions, ...all].map((s) => s.id))]
  await deps.ender.end(ids, everywhere ? 'logout_everywhere' : 'logout', r)
  return leave(r, deps, session, afterLogout(r, deps), hint)
}

/** OpenID Connect RP-Initiated Logout 1.0 §2, where the provider has an end-session endpoint; our own page else. */
async function leave(
  r: BrowserRequest,
  deps: LoginDeps,
  session: LiveSession | undefined,
  after: string,
  hint?: Secret,
): Promise<Answer> {
  const made = makeLogoutState(after, r, deps)
  const provider = session === undefined ? undefined : providerOfSession(deps.providers, session.record)
  const url = await provider?.endSessionUrl({
    postLogoutRedirectUri: after,
    ...(hint === undefined ? {} : { idTokenHint: hint }),
    ...(made === undefined ? {} : { state: made.state }),
  })
  if (url !== undefined) return signedOut(r, deps, url.href, made?.cookies)
  return made?.direct === undefined ? signedOut(r, deps, after) : signedOut(r, deps, made.direct, made.cookies)
}

/**
 * Form: 303 to the provider. Program: 200 with the address, since a fetch cannot follow to another site. A form of a page
 * that does not name itself gets a page that goes on: its CSP is most likely helmet's too, whose `form-action 'self'` keeps
 * Chromium from following a form's redirect to another site.
 */
function signedOut(r: BrowserRequest, deps: LoginDeps, url: string, more: readonly string[] = []): Answer {
  const cookies = [
    ...expireCookies(deps.now.settings.session, r.hostname),
    `${CSRF_COOKIE}=; Path=/; Max-Age=0; SameSite=Lax; Secure`,
    ...more,
  ]
  if (r.wants === 'navigation' && isUnnamedSelf(r.csrf) && new URL(url).origin !== r.origin)
    return withHeaders(deps.pages.leaving({ url }, r), setCookies(cookies))
  if (r.wants === 'navigation') return redirect(url, cookies, 303)
  return answerJson({ logout_url: url }, cookies)
}

/** The registered address: of the login host where there is one, so that one registration does for all hosts. */
function afterLogout(r: BrowserRequest, deps: LoginDeps): string {
  return new URL(deps.now.settings.postLogoutRedirect, loginOrigin(r.origin, deps.now)).href
}

/** Another site's page asks: its Origin says so, or Fetch Metadata where there is none. */
function isForeign({ csrf }: BrowserRequest, deps: LoginDeps): boolean {
  if (csrf.origin !== undefined && !isUnnamedSelf(csrf)) return !deps.now.isOurOrigin(csrf.origin)
  return csrf.site !== undefined && csrf.site !== 'same-origin' && csrf.site !== 'none'
}

function refuse(r: BrowserRequest, deps: LoginDeps, why: string): Answer {
  deps.emit({
    name: 'request_refused',
    correlationId: r.correlationId,
    fields: { code: 'CSRF_FAILED', why, path: r.path },
  })
  return deps.errorAnswer({ code: 'CSRF_FAILED' }, r)
}

/** Header or form field, of one of the sessions that the cookies name. */
function isTrusted(r: BrowserRequest, sessions: readonly LiveSession[], deps: LoginDeps): boolean {
  const token = r.csrf.token ?? r.body.get('csrf_token')
  return token !== undefined && sessions.some((s) => checkCsrfToken(token, s.id, deps.cookies.csrf))
}

/** Sessions behind the cookies that came, whatever their state: an expired or suspended one may still be logged out. */
async function judgedOf(r: BrowserRequest, deps: LoginDeps): Promise<Judged[]> {
  const found: Judged[] = []
  for (const value of distinctCookies(r, deps.now)) {
    if (readSessionCookie(value, deps.cookies.session) === undefined) continue
    const judged = await judgeCookie(value, r, deps)
    if (judged !== undefined && judged.state !== 'foreign') found.push(judged)
  }
  return found
}

/** Where a form of ours leads through redirects: CSP form-action wants them all. */
async function targetsOf(s: LiveSession, r: BrowserRequest, deps: LoginDeps): Promise<string[]> {
  const url = await providerOfSession(deps.providers, s.record)?.endSessionUrl({})
  const after = new URL(afterLogout(r, deps)).origin
  return [...(url === undefined ? [] : [url.origin]), ...(after === r.origin ? [] : [after])]
}
