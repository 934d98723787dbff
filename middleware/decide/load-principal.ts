import { endsAt, stateOf, timeoutReason } from '../login/current-session.ts'
import { readSessionCookie } from '../session/cookie.ts'
import { expireCookies } from '../session/expire-cookies.ts'
import type { Context, DecideDeps, Decision, LiveSession, Maybe, Refuse, SessionId } from '../types.ts'
import { StoreUnavailable } from '../types.ts'
import { bearerOf, loadMachine } from './load-machine.ts'

/** The idle time is written at most this often a session, so that a busy page costs the store one write a minute. */
export const TOUCH_EVERY_MS = 60_000

/**
 * Who is asking: the machine whose token came, where the route takes such; else the session behind the cookie, judged by
 * the clock. Synchronous where either is at hand.
 */
export function loadPrincipal(c: Context, deps: DecideDeps): Maybe<Decision | undefined> {
  const bearer = bearerOf(c)
  return bearer === undefined ? loadUser(c, deps) : loadMachine(c, deps, bearer)
}

function loadUser(c: Context, deps: DecideDeps): Maybe<Decision | undefined> {
  const { cookies } = c.facts
  const [first, second] = cookies
  if (first === undefined) return noSession(c, 'NO_SESSION')
  if (second !== undefined) return twoCookies(c, deps)
  const id = readSessionCookie(first, deps.cookies.session)
  if (id === undefined) return noSession(c, 'NO_SESSION')
  const found = fromStore(() => deps.sessions.load(id))
  if (found instanceof Promise) return found.then((s) => judge(c, deps, id, s))
  return judge(c, deps, id, found)
}

function judge(
  c: Context,
  deps: DecideDeps,
  id: SessionId,
  found: LiveSession | undefined | 'down',
): Maybe<Decision | undefined> {
  if (found === 'down') return { kind: 'unavailable', code: 'STORE_UNAVAILABLE', retryAfterS: 2 }
  if (found === undefined) return explainMissing(c, deps, id)
  const verdict = judgeSession(found, deps, c.facts.hostname)
  if (verdict === 'foreign') return noSession(c, 'NO_SESSION')
  if (verdict !== 'live') return noSession(c, 'SESSION_EXPIRED')
  c.principal = { kind: 'user', session: found }
  touch(found, deps)
  return undefined
}

/**
 * Whether a stored session counts now, here. Ends it (in the background) where its time has run out. A suspended one
 * (the provider said invalid_grant) is expired to whoever asks, and may come back.
 */
function judgeSession(s: LiveSession, deps: DecideDeps, hostname: string): ReturnType<typeof stateOf> {
  const state = stateOf(s, hostname, deps)
  if (state === 'expired') deps.end([s.id], timeoutReason(s, deps))
  return state
}

function explainMissing(c: Context, deps: DecideDeps, id: SessionId): Maybe<Decision> {
  const reason = fromStore(() => deps.sessions.endedReason(id))
  const answer = (r: string | undefined): Decision => {
    if (r === 'down') return { kind: 'unavailable', code: 'STORE_UNAVAILABLE', retryAfterS: 2 }
    return noSession(c, r !== undefined && /timeout|invalid_grant/.test(r) ? 'SESSION_EXPIRED' : 'NO_SESSION')
  }
  return reason instanceof Promise ? reason.then(answer) : answer(reason)
}

/** A store that does not answer is an outage, never "there is no session". */
function fromStore<T>(ask: () => Maybe<T>): Maybe<T | 'down'> {
  try {
    const found = ask()
    return found instanceof Promise ? found.catch(isDown) : found
  } catch (e) {
    return isDown(e)
  }
}

function isDown(e: unknown): 'down' {
  if (e instanceof StoreUnavailable) return 'down'
  throw e
}

function noSession(c: Context, code: 'NO_SESSION' | 'SESSION_EXPIRED'): Decision {
  if (c.facts.wants === 'navigation') return { kind: 'login', code }
  // RFC 6750 §3: who brings no token is told that one would do, without an error.
  const challenge = c.route !== undefined && c.route.bearer.length > 0 ? { wwwAuthenticate: 'Bearer' } : {}
  return { kind: 'refuse', code, ...challenge, ...routeOf(c) }
}

function routeOf(c: Context): Pick<Refuse, 'route'> {
  return c.route === undefined ? {} : { route: c.route }
}

/** Which of two is the victim's own cannot be told: refuse, and expire the host-only variant and those of the domains. */
function twoCookies(c: Context, deps: DecideDeps): Refuse {
  const setCookies = expireCookies(deps.now.settings.session, c.facts.hostname)
  return {
    kind: 'refuse',
    code: 'BAD_REQUEST',
    why: 'two different session cookies',
    detail: 'two_session_cookies',
    setCookies,
    ...routeOf(c),
  }
}

function touch(s: LiveSession, deps: DecideDeps): void {
  const idle = deps.now.settings.session.idleTimeoutMs
  const now = deps.clock.wallMs()
  const next = Math.min(now + idle, endsAt(s, deps.now.settings.session))
  if (next - s.idleUntil < Math.min(TOUCH_EVERY_MS, idle / 10)) return
  deps.touch(s.id, next as typeof now)
}
