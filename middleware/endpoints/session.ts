import { loginUrl } from '../login/addresses.ts'
import { endsAt, judgeCookie, livesUntil, type Judged } from '../login/current-session.ts'
import { distinctCookies, setCookies, type LoginDeps } from '../login/deps.ts'
import { csrfCookie } from '../login/open-session.ts'
import { CSRF_COOKIE, checkCsrfToken, makeCsrfToken } from '../session/csrf.ts'
import { expireCookies } from '../session/expire-cookies.ts'
import type { Answer, BrowserRequest } from '../types.ts'

/** JSON that no cache keeps. */
export function json(status: number, body: unknown, headers: readonly (readonly [string, string])[] = []): Answer {
  const text = JSON.stringify(body)
  return {
    status,
    headers: [
      ['Content-Type', 'application/json'],
      ['Cache-Control', 'no-store'],
      ['Vary', 'Cookie'],
      ...headers,
      ['Content-Length', String(Buffer.byteLength(text))],
    ],
    body: text,
  }
}

/** Two different session cookies: which one is the victim's own cannot be told. */
export function twoCookies(r: BrowserRequest, deps: LoginDeps): Answer {
  const headers = setCookies(expireCookies(deps.now.settings.session, r.hostname))
  return deps.errorAnswer(
    {
      code: 'BAD_REQUEST',
      detail: 'Two different session cookies came with this request.',
      headers,
      clearUrl: `${deps.now.settings.server.basePath}/login?prompt=login`,
    },
    r,
  )
}

/** The one live session of a request; 'two' where the cookies contradict each other. */
export async function currentSession(r: BrowserRequest, deps: LoginDeps): Promise<Judged | undefined | 'two'> {
  const values = distinctCookies(r, deps.now)
  if (values.length > 1) return 'two'
  const judged = values[0] === undefined ? undefined : await judgeCookie(values[0], r, deps)
  return judged?.state === 'live' ? judged : undefined
}

/** `GET /api/auth/session`: what the SPA may know. It keeps nothing alive, so that a polling page does not. */
export async function sessionStatus(r: BrowserRequest, deps: LoginDeps): Promise<Answer> {
  const judged = await currentSession(r, deps)
  if (judged === 'two') return twoCookies(r, deps)
  const key = deps.cookies.csrf[0]
  if (judged === undefined || key === undefined) {
    const code = distinctCookies(r, deps.now).length > 0 ? 'SESSION_EXPIRED' : 'NO_SESSION'
    return json(401, { authenticated: false, login_url: loginUrl(r.origin, deps.now) }, [['X-BFF-Error', code]])
  }
  const { record, state } = judged.session
  const services = deps.broker.services(judged.session)
  deps.emit({
    name: 'session_status',
    correlationId: r.correlationId,
    fields: { services_count: services.length, session: record.handle },
  })
  const body = {
    authenticated: true,
    sub: record.sub,
    email: textOf(state.identity['email']),
    name: textOf(state.identity['name']),
    expires_at: new Date(endsAt(judged.session, deps.now.settings.session)).toISOString(),
    idle_expires_at: new Date(livesUntil(judged.session, deps.now.settings.session)).toISOString(),
    services,
    csrf_token: makeCsrfToken(judged.id, key, deps.random),
  }
  return json(200, body, setCookies(missingCsrfCookie(r, judged, deps)))
}

/** The cookie is of one host alone: a session that `cookie_domain` brought here from another has none yet, or an old one. */
function missingCsrfCookie(r: BrowserRequest, { id }: Judged, deps: LoginDeps): string[] {
  const has = r.cookies.get(CSRF_COOKIE)?.some((token) => checkCsrfToken(token, id, deps.cookies.csrf)) === true
  return has ? [] : [csrfCookie(id, deps)]
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

/** `GET /auth/csrf`: the token, in the body and in the readable cookie. */
export async function csrfToken(r: BrowserRequest, deps: LoginDeps): Promise<Answer> {
  const judged = await currentSession(r, deps)
  if (judged === 'two') return twoCookies(r, deps)
  if (judged === undefined) return deps.errorAnswer({ code: 'NO_SESSION', loginUrl: loginUrl(r.origin, deps.now) }, r)
  const cookie = csrfCookie(judged.id, deps)
  return json(200, { csrf_token: cookie.slice(CSRF_COOKIE.length + 1, cookie.indexOf(';')) }, setCookies([cookie]))
}
