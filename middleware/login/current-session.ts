import type { SessionSettings } from '../../config/types.ts'
import { readSessionCookie } from '../session/cookie.ts'
import type { BrowserRequest, DecideDeps, EndReason, EpochMs, LiveSession, SessionId } from '../types.ts'
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

/**
 * When a session ends at the latest, however busy it is (Unix ms): its absolute time, or, with `session.follow_id_token`, the
 * `exp` of its newest id token, which a refresh that brings a new one moves on.
 */
export function endsAt(s: LiveSession, settings: Pick<SessionSettings, 'followIdToken'>): EpochMs {
  const exp = s.state.identity['exp']
  return settings.followIdToken && typeof exp === 'number'
    ? (Math.min(s.record.expiresAt, exp * 1000) as EpochMs)
    : s.record.expiresAt
}

/** When it ends as things are: of its idle time and its latest end the earlier. */
export function livesUntil(s: LiveSession, settings: Pick<SessionSettings, 'followIdToken'>): EpochMs {
  return Math.min(s.idleUntil, endsAt(s, settings)) as EpochMs
}

/** Why a session whose time is over has ended. */
export function timeoutReason(s: LiveSession, deps: Pick<DecideDeps, 'now' | 'clock'>): EndReason {
  return deps.clock.wallMs() >= endsAt(s, deps.now.settings.session) ? 'absolute_timeout' : 'idle_timeout'
}

/** Whether a stored session counts now, and on this host. */
export function stateOf(s: LiveSession, hostname: string, deps: Pick<DecideDeps, 'now' | 'clock'>): Judged['state'] {
  const now = deps.clock.wallMs()
  if (now >= livesUntil(s, deps.now.settings.session)) return 'expired'
  if (!sharesCookie(s, deps.now.settings.session.cookieDomain, hostname)) return 'foreign'
  // After its grace a suspended one counts again: the next attempt of the broker clears it or ends it, on whichever replica.
  return s.state.suspendedUntil === undefined || s.state.suspendedUntil <= now ? 'live' : 'suspended'
}

/** A host-only session of one host says nothing on another; with cookie_domain all hosts below it share. */
function sharesCookie(s: LiveSession, domain: string | undefined, hostname: string): boolean {
  const { origin } = s.record
  const at = origin.indexOf('://') + 3
  const end = at + hostname.length
  if (origin.startsWith(hostname, at) && (origin.length === end || /^:\d+$/.test(origin.slice(end)))) return true
  if (domain === undefined) return false
  const opened = origin.slice(at).replace(/:\d+$/, '')
  const under = (host: string): boolean => host === domain || host.endsWith(`.${domain}`)
  return under(opened) && under(hostname)
}
