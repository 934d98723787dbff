import { BoundedMap } from '../bounded-map.ts'
import type { LiveSession, SessionId } from '../types.ts'
import type { StoredSession } from './backend.ts'

interface Kept {
  readonly revision: number
  readonly session: LiveSession
  readonly bytes: number
}

/** Sessions that are kept parsed: a session with many tokens or groups weighs tens of kilobytes, so they are bounded by weight. */
export const MOST_KEPT_BYTES = 64 * 1024 * 1024

/** Objects, maps and keys around the text. */
const FRAME_BYTES = 2048

export interface ParsedCache {
  get(id: SessionId): Kept | undefined
  /** Makes room by dropping what was put longest ago. */
  set(id: SessionId, k: Kept): void
  delete(id: SessionId): void
  readonly bytes: () => number
}

/** What a session weighs once parsed: its text, of which a character may take two bytes, sealed as base64url. */
export function weightOf(stored: StoredSession): number {
  let sealed = stored.record.length + stored.state.length
  for (const value of Object.values(stored.slots)) sealed += value.length
  return FRAME_BYTES + Math.ceil(sealed * 1.5)
}

export function createParsedCache(mostBytes: number): ParsedCache {
  const kept = new BoundedMap<SessionId, Kept>(Infinity)
  let total = 0
  const remove = (id: SessionId): void => {
    total -= kept.get(id)?.bytes ?? 0
    kept.delete(id)
  }
  return {
    get: (id) => kept.get(id),
    set: (id, k) => {
      remove(id)
      if (k.bytes > mostBytes) return
      while (total + k.bytes > mostBytes) total -= kept.dropOldest()?.bytes ?? 0
      kept.set(id, k)
      total += k.bytes
    },
    delete: remove,
    bytes: () => total,
  }
}
