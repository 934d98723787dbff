import { BoundedMap } from '../../bounded-map.ts'
import type { EndReason, SessionId } from '../../types.ts'

type Listener = (id: SessionId, reason: EndReason) => void

/** Sessions whose end we know of; an id is never used again, so this only ever says no. */
export interface Endings {
  /** Ours or another replica's; told to listeners once. */
  add: Listener
  reason(id: SessionId): EndReason | undefined
  /** Those of the last so many ms. */
  since(ms: number): readonly (readonly [SessionId, EndReason])[]
  readonly listen: (f: Listener) => () => void
  close(): void
}

/** About 200 bytes each. */
const MOST = 20_000

export function createEndings(monoMs: () => number): Endings {
  const known = new BoundedMap<SessionId, { readonly reason: EndReason; readonly atMonoMs: number }>(MOST)
  const listeners = new Set<Listener>()
  return {
    add: (id, reason) => {
      if (known.has(id)) return
      known.set(id, { reason, atMonoMs: monoMs() })
      for (const f of [...listeners]) f(id, reason)
    },
    reason: (id) => known.get(id)?.reason,
    since: (ms) => [...known].filter(([, e]) => e.atMonoMs > monoMs() - ms).map(([id, e]) => [id, e.reason] as const),
    listen: (f) => {
      listeners.add(f)
      return () => listeners.delete(f)
    },
    close: () => listeners.clear(),
  }
}
