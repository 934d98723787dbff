import { loginUrl } from '../login/addresses.ts'
import type { LoginDeps } from '../login/deps.ts'
import { stateOf, type Judged } from '../login/current-session.ts'
import { checkCsrfToken, isUnnamedSelf, makeCsrfToken } from '../session/csrf.ts'
import type { Answer, BrowserRequest, Handle, LiveSession } from '../types.ts'
import { redirect } from '../login/deps.ts'
import { currentSession, json, twoCookies } from './session.ts'

/** `GET /auth/sessions`: where this user is signed in. JSON for a program, a page for a person. */
export async function listSessions(r: BrowserRequest, deps: LoginDeps): Promise<Answer> {
  const judged = await currentSession(r, deps)
  if (judged === 'two') return twoCookies(r, deps)
  if (judged === undefined) return signInFirst(r, deps)
  const mine = await sessionsOfUser(judged, deps)
  const rows = mine.map((s) => ({
    id: s.record.handle,
    current: s.id === judged.id,
    created_at: new Date(s.record.createdAt).toISOString(),
    // The idle time is written once a minute, so that is how exact this is.
    last_seen_at: new Date(
      Math.max(s.record.createdAt, s.idleUntil - deps.now.settings.session.idleTimeoutMs),
    ).toISOString(),
    user_agent: s.record.userAgent,
    ip: s.record.ip,
  }))
  if (r.wants !== 'navigation') return json(200, { sessions: rows })
  const key = deps.cookies.csrf[0]
  if (key === undefined) throw new Error('no CSRF key')
  return deps.pages.sessions(
    { rows, base: deps.now.settings.server.basePath, csrfToken: makeCsrfToken(judged.id, key, deps.random) },
    r,
  )
}

/**
 * `DELETE /auth/sessions/<id>`, or a form's POST to it: ends one of the user's own sessions. Another user's id is 404, as is
 * one that nobody has, so that ids tell nothing.
 */
export async function endSession(r: BrowserRequest, deps: LoginDeps): Promise<Answer> {
  const judged = await currentSession(r, deps)
  if (judged === 'two') return twoCookies(r, deps)
  if (judged === undefined) return signInFirst(r, deps)
  const token = r.csrf.token ?? r.body.get('csrf_token')
  const foreign = r.csrf.origin !== undefined && !deps.now.isOurOrigin(r.csrf.origin) && !isUnnamedSelf(r.csrf)
  if (foreign || token === undefined || !checkCsrfToken(token, judged.id, deps.cookies.csrf))
    return deps.errorAnswer({ code: 'CSRF_FAILED' }, r)
  const handle = r.path.slice(r.path.lastIndexOf('/') + 1) as Handle
  const found = (await sessionsOfUser(judged, deps)).filter((s) => s.record.handle === handle)
  if (found.length === 0) return deps.errorAnswer({ code: 'NO_ROUTE', status: 404 }, r)
  await deps.ender.end(
    found.map((s) => s.id),
    'revoked',
    r,
  )
  if (r.wants === 'navigation') return redirect(`${deps.now.settings.server.basePath}/sessions`, [], 303)
  return json(200, { ended: handle })
}

async function sessionsOfUser(j: Judged, deps: LoginDeps): Promise<readonly LiveSession[]> {
  const { issuer, sub } = j.session.record
  const all = await deps.sessions.find({ issuer, sub })
  return all
    .filter((s) => stateOf(s, s.record.origin.replace(/^\w+:\/\//, '').replace(/:\d+$/, ''), deps) !== 'expired')
    .sort((a, b) => b.record.createdAt - a.record.createdAt)
}

function signInFirst(r: BrowserRequest, deps: LoginDeps): Answer {
  if (r.wants === 'navigation') return redirect(loginUrl(r.origin, deps.now, { return_to: '/' }), [])
  return deps.errorAnswer({ code: 'NO_SESSION', loginUrl: loginUrl(r.origin, deps.now) }, r)
}
