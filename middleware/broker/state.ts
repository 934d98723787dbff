import type { SessionId, SessionState } from '../types.ts'
import type { BrokerOptions } from './types.ts'

const TRIES = 8

/**
 * Reads, changes, writes over what was read, and again where somebody else was quicker. `change` answering undefined
 * means that there is nothing to write. Never brings back a session that is gone.
 */
export async function updateState(
  o: BrokerOptions,
  id: SessionId,
  change: (s: SessionState) => SessionState | undefined,
): Promise<void> {
  for (let i = 0; i < TRIES; i++) {
    const live = await o.sessions.load(id)
    if (live === undefined) return
    const next = change(live.state)
    if (next === undefined) return
    if ((await o.sessions.update(id, live.version, next)) !== 'changed') return
  }
}

/** A service whose last attempt failed drops out of `services_count`, and comes back when one succeeds. */
export function withOutcome(s: SessionState, service: string, ok: boolean): SessionState | undefined {
  if (s.failed.includes(service) === !ok) return undefined
  return { ...s, failed: ok ? s.failed.filter((f) => f !== service) : [...s.failed, service] }
}

/** R19: a success proves that the session is good. */
export function withoutSuspension(s: SessionState): SessionState | undefined {
  if (s.suspendedUntil === undefined) return undefined
  const { suspendedUntil: _, ...rest } = s
  return rest
}
