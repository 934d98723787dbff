import { BoundedMap } from '../../bounded-map.ts'
import type { SessionId } from '../../types.ts'
import type { Seen, StoredSession } from '../backend.ts'

interface Entry {
  readonly seen: Seen
  readonly untilMonoMs: number
}

/** About 300 bytes each. The sessions themselves are kept once, parsed, by sessions.ts. */
const MOST = 50_000
/** Nothing is believed for longer without being read again, whatever was or was not invalidated. */
const TTL_MS = 5000

/** Which sessions were read, in which revision, until the server says that they changed. A read that an invalidation overtakes is not kept. */
export interface TrackedCache {
  get(id: SessionId): Seen | undefined
  /** Runs a read; keeps its result unless the key was invalidated meanwhile. One flight for all who ask at once. */
  read(
    id: SessionId,
    ask: () => Promise<StoredSession | undefined>,
    keep: () => boolean,
  ): Promise<StoredSession | undefined>
  drop(id: SessionId): void
  clear(): void
  readonly size: () => number
}

export function createTrackedCache(monoMs: () => number): TrackedCache {
  const entries = new BoundedMap<SessionId, Entry>(MOST)
  const flights = new Map<SessionId, { valid: boolean; readonly result: Promise<StoredSession | undefined> }>()
  const overtaken = (id: SessionId): void => {
    const flight = flights.get(id)
    if (flight === undefined) return
    flight.valid = false
    // Whoever asks from now on must not get an answer from before.
    flights.delete(id)
  }
  return {
    get: (id) => {
      const entry = entries.get(id)
      if (entry === undefined) return undefined
      if (entry.untilMonoMs > monoMs()) return entry.seen
      entries.delete(id)
      return undefined
    },
    read: (id, ask, keep) => {
      const under = flights.get(id)
      if (under !== undefined) return under.result
      const flight: { valid: boolean; result: Promise<StoredSession | undefined> } = { valid: true, result: ask() }
      flights.set(id, flight)
      flight.result = flight.result
        .then((stored) => {
          if (stored !== undefined && flight.valid && keep()) {
            const seen = { revision: stored.revision, idleUntil: stored.idleUntil }
            entries.set(id, { seen, untilMonoMs: monoMs() + TTL_MS })
          }
          return stored
        })
        .finally(() => {
          if (flights.get(id) === flight) flights.delete(id)
        })
      return flight.result
    },
    drop: (id) => {
      entries.delete(id)
      overtaken(id)
    },
    clear: () => {
      entries.clear()
      for (const id of [...flights.keys()]) overtaken(id)
    },
    size: () => entries.size,
  }
}
