import { readSessionCookie } from '../session/cookie.ts'
import type { BrowserRequest, DecideDeps, LiveSession, SessionId } from '../types.ts'
import type { LoginDeps } from './deps.ts'

export interface Judged {
  readonly id: SessionId
  readonly session: LiveSession
  readonly state: 'live' | 'expired' | 'suspended' | 'foreign'
}

type JudgeDeps = Pick<LoginDeps, 'now' | 'sessions' | 'cookies' | 'clock'>

/** The session behind one cookie value, judged by the clock; undefined where there is none. Ends nothing, keeps nothing alive. */
export async function judgeCookie(
  value: string,
  r: Pick<BrowserRequest, 'hostname'>,
  deps: JudgeDeps,
): Promise<Judged | undefined> {
  const id = readSessionCookie(value, deps.cookies.session)
  if (id === undefined) return undefined
  const session = await deps.sessions.load(id)
  if (session === undefined) return undefined
  return { id, session, state: stateOf(session, r.hostname, deps) }
}

/** Whether a stored session counts now, and on this host. */
export function stateOf(s: LiveSession, hostname: string, deps: Pick<DecideDeps, 'now' | 'clock'>): Judged['state'] {
  const now = deps.clock.wallMs()
  if (now >= s.record.expiresAt || now >= s.idleUntil) return 'expired'
  if (!sharesCookie(s, deps.now.settings.session.cookieDomain, hostname)) return 'foreign'
  // After its grace a suspended one counts again: the next attempt of the broker clears it or ends it, on whichever replica.
  return s.state.suspendedUntil === undefined || s.state.suspendedUntil <= now ? 'live' : 'suspended'
}

/** A host-only session of one host says nothing on another; with cookie_domain all hosts below it share. */
function sharesCookie(s: LiveSession, domain: string | undefined, hostname: string): boolean {
  const opened = s.record.origin.slice(s.record.origin.indexOf('://') + 3).replace(/:\d+$/, '')
  if (opened === hostname) return true
  const under = (host: string): boolean => domain !== undefined && (host === domain || host.endsWith(`.${domain}`))
  return under(opened) && under(hostname)
}
