import { BoundedMap } from '../bounded-map.ts'
import type { Clock, SessionId } from '../types.ts'
import type { Target } from './types.ts'

/** A no that asking again will not change soon is not asked again on every request (R18: an error, not a loop). */
export interface Refusals {
  find(session: SessionId | undefined, t: Target): string | undefined
  /** `client`: the provider refuses this client that grant, whoever the user. */
  note(scope: 'session' | 'client', session: SessionId | undefined, t: Target, reason: string): void
  forget(session: SessionId): void
}

const CLIENT_MS = 5 * 60_000
const SESSION_MS = 30_000
const MOST = 10_000

/** Errors that tell of the client's registration or of the provider's abilities rather than of this user's grant. */
const OF_CLIENT = new Set(['unsupported_grant_type', 'unauthorized_client', 'invalid_client', 'unsupported_token_type'])

export function refusalScope(error: string): 'session' | 'client' {
  return OF_CLIENT.has(error) ? 'client' : 'session'
}

export function createRefusals(o: { readonly clock: Clock; readonly generation: () => unknown }): Refusals {
  const bySession = new BoundedMap<string, Map<string, { readonly until: number; readonly reason: string }>>(MOST)
  let generation = o.generation()

  const lane = (session: SessionId | undefined): Map<string, { readonly until: number; readonly reason: string }> => {
    if (generation !== o.generation()) bySession.clear()
    generation = o.generation()
    const key = session ?? ''
    const known = bySession.get(key) ?? new Map<string, { until: number; reason: string }>()
    bySession.set(key, known)
    return known
  }

  return {
    find: (session, t) => {
      for (const [owner, key] of [
        [session, t.service.name],
        [undefined, clientKey(t)],
      ] as const) {
        const hit = bySession.get(owner ?? '') === undefined ? undefined : lane(owner).get(key)
        if (hit !== undefined && hit.until > o.clock.monoMs()) return hit.reason
      }
      return undefined
    },
    note: (scope, session, t, reason) => {
      if (scope === 'client') lane(undefined).set(clientKey(t), { until: o.clock.monoMs() + CLIENT_MS, reason })
      else lane(session).set(t.service.name, { until: o.clock.monoMs() + SESSION_MS, reason })
    },
    forget: (session) => void bySession.delete(session),
  }
}

function clientKey(t: Target): string {
  return [
    t.provider.settings.name,
    t.client?.clientId ?? t.provider.settings.client.clientId,
    t.strategy,
    t.service.name,
  ].join(' ')
}
