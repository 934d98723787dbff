import type { Clock } from '../types.ts'

/** Guards one token endpoint for one client: while it fails, calls are answered at once and tried only in a trickle. */
export interface Circuit {
  /** Undefined: go ahead. Else how many seconds to wait. */
  retryAfterS(): number | undefined
  succeeded(): void
  failed(retryAfterS?: number): void
  /** False again once it is time for a try, so that readiness comes back without traffic. */
  isOpen(): boolean
  /** True until a call succeeds, or nobody has tried for a while: an outage is told once, however often it is tried in between. */
  isFailing(): boolean
}

const THRESHOLD = 3
const BASE_MS = 1_000
const MAX_MS = 30_000
/** While half open, one try may be under way in this time. */
const TRICKLE_MS = 1_000
/** With no call for so long after the last wait, nobody knows; it counts as over. */
const FORGOTTEN_MS = 60_000

/** @param o.random jitter, so that replicas do not come back to a recovering provider all at once. */
export function createCircuit(o: { readonly clock: Clock; readonly random: (bytes: number) => Uint8Array }): Circuit {
  let failures = 0
  let openUntil = 0
  return {
    retryAfterS: () => {
      if (failures < THRESHOLD) return undefined
      const left = openUntil - o.clock.monoMs()
      if (left > 0) return Math.max(1, Math.ceil(left / 1000))
      openUntil = o.clock.monoMs() + TRICKLE_MS
      return undefined
    },
    succeeded: () => {
      failures = 0
      openUntil = 0
    },
    failed: (retryAfterS) => {
      failures++
      if (failures < THRESHOLD) return
      const wait = retryAfterS === undefined ? backoffMs(failures - THRESHOLD, o.random) : retryAfterS * 1000
      openUntil = o.clock.monoMs() + wait
    },
    isOpen: () => failures >= THRESHOLD && o.clock.monoMs() < openUntil,
    isFailing: () => failures >= THRESHOLD && o.clock.monoMs() < openUntil + FORGOTTEN_MS,
  }
}

/** Doubling from 1 s to 30 s, ±50 %. */
export function backoffMs(attempt: number, random: (bytes: number) => Uint8Array): number {
  const jitter = 0.5 + (random(1)[0] ?? 128) / 255
  return Math.min(BASE_MS * 2 ** Math.min(attempt, 10), MAX_MS) * jitter
}
