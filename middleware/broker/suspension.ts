import type { EpochMs, SessionId, TokenAnswer } from '../types.ts'
import type { Parts } from './parts.ts'
import { updateState } from './state.ts'

/** How many tries fit into the grace. */
const TRICKLE = 6

/**
 * Two invalid_grant with an unchanged refresh token: the session is suspended, not ended, because a provider whose
 * storage fails says the same (R19). Tries go on in a trickle; the first that succeeds clears it, the end of the grace
 * ends the session.
 */
export async function suspend(p: Parts, id: SessionId, retry: () => Promise<TokenAnswer>): Promise<TokenAnswer> {
  const now = p.o.clock.wallMs()
  let until: EpochMs | undefined
  await updateState(p.o, id, (s) => {
    until = s.suspendedUntil
    if (until !== undefined) return undefined
    until = (now + p.o.settings().tokens.invalidGrantGraceMs) as EpochMs
    return { ...s, suspendedUntil: until }
  })
  p.o.emit({ name: 'session_suspended', fields: { until: until ?? now } })
  if (until !== undefined && until <= now) {
    await p.o.end([id], 'invalid_grant')
    return { kind: 'ended' }
  }
  if (until !== undefined) trickle(p, id, retry)
  return { kind: 'ended' }
}

/** Starts the tries for a suspended session, unless they are under way here. */
export function trickle(p: Parts, id: SessionId, retry: () => Promise<unknown>): void {
  if (p.suspended.has(id)) return
  const stop = new AbortController()
  p.suspended.set(id, stop)
  const work = async (): Promise<void> => {
    const pause = Math.max(p.o.settings().tokens.invalidGrantGraceMs / TRICKLE, 250)
    for (let i = 0; i <= TRICKLE + 1; i++) {
      await p.o.clock.sleep(pause, stop.signal)
      if (stop.signal.aborted) return
      const live = await p.o.sessions.load(id)
      if (live?.state.suspendedUntil === undefined) return
      await retry()
    }
  }
  // A store that is away stops the tries here; the next request for the session begins them again.
  void work()
    .catch(() => undefined)
    .finally(() => p.suspended.delete(id))
}
