import type { EpochMs } from '../types.ts'
import type { LoginDeps } from './deps.ts'

/** A sign-in lives ten minutes; a logout is remembered for longer than any that was under way when it came. */
const REMEMBER_MS = 15 * 60_000

type Told = { readonly issuer: string; readonly sub?: string; readonly sid?: string }
type NoteDeps = Pick<LoginDeps, 'sessions' | 'clock'>

const bySid = (issuer: string, sid: string): string => `signed out|sid|${issuer}|${sid}`
const bySub = (issuer: string, sub: string): string => `signed out|sub|${issuer}|${sub}`

/**
 * A logout of the provider may overtake a sign-in that is on its way back to us: there is no session to end yet, and there
 * would be one right after. So the logout is remembered, and a sign-in that began before it opens nothing.
 */
export async function noteSignedOut(t: Told, deps: NoteDeps): Promise<void> {
  const key = t.sid === undefined ? (t.sub === undefined ? undefined : bySub(t.issuer, t.sub)) : bySid(t.issuer, t.sid)
  if (key !== undefined) await deps.sessions.note(key, String(deps.clock.wallMs()), REMEMBER_MS)
}

/** Whether the provider has signed this user, or this session of theirs, out since the sign-in began; who signed in anew after that counts. */
export async function wasSignedOutSince(
  began: EpochMs,
  who: {
    readonly issuer: string
    readonly sub: string
    readonly sid?: string | undefined
    readonly authTimeMs: number
  },
  deps: NoteDeps,
): Promise<boolean> {
  const keys = [bySub(who.issuer, who.sub), ...(who.sid === undefined ? [] : [bySid(who.issuer, who.sid)])]
  const noted = await Promise.all(keys.map((key) => deps.sessions.noted(key)))
  return noted.some((at) => at !== undefined && Number(at) >= began && who.authTimeMs <= Number(at))
}
