import type { Claims, EpochMs } from '../types.ts'

/** How far another machine's clock may be off. */
export const CLOCK_TOLERANCE_S = 30
/**
 * A provider judges `max_age` when it is asked, we when its answer is here: so much may lie between. Nothing but the
 * answer to a sign-in is judged with it.
 */
const ON_THE_WAY_S = 60
/** A sign-in that was accepted counts at least this long, so that the page that asked for it does not ask again at once. */
const GRACE_MS = 5_000

/** How old the sign-in was when the id token was made, by the provider's own clock; undefined where it does not tell. */
export function ageAtIssue(claims: Claims): number | undefined {
  const { auth_time: at, iat } = claims
  if (typeof at !== 'number' || !Number.isFinite(at)) return undefined
  return typeof iat === 'number' ? Math.max(0, iat - at) : undefined
}

/** Whether what came back meets the `max_age` that was asked for. Without `auth_time` nobody can tell, so it does not. */
export function isTooOld(claims: Claims, maxAgeS: number): boolean {
  const age = ageAtIssue(claims)
  return age === undefined || age > maxAgeS + ON_THE_WAY_S
}

/**
 * When the user signed in, by our own clock: the two clocks may differ, so the age is the provider's and only "now" is ours.
 * undefined where the provider does not tell: then no `max_age` is met.
 *
 * @param maxAgeS what was asked for and accepted.
 */
export function signedInAt(claims: Claims, now: EpochMs, maxAgeS?: number): EpochMs | undefined {
  const age = ageAtIssue(claims)
  if (age === undefined) return undefined
  const at = now - age * 1000
  return (maxAgeS === undefined ? at : Math.max(at, Math.min(now, now - maxAgeS * 1000 + GRACE_MS))) as EpochMs
}
