import type { Clock } from '../middleware/types.ts'

/** No request for so long: whoever sends traffic here has stopped. */
const QUIET_MS = 500
/** A balancer or kubelet that asked for readiness lately decides by it where traffic goes. */
const PROBED_MS = 60_000

export interface Traffic {
  /** A connection or a request came. */
  seen(): void
  /** Readiness was asked by a probe (`/ready?scope=local`). */
  probed(): void
  /**
   * Resolves when the listeners may close: no traffic for half a second, and nobody who decides by readiness is to be
   * waited for; `atMostMs` at the latest, or when `hurry` aborts.
   */
  gone(atMostMs: number, hurry: AbortSignal): Promise<void>
}

export function createTraffic(clock: Clock): Traffic {
  let last = -Infinity
  let probe = -Infinity
  return {
    seen: () => {
      last = clock.monoMs()
    },
    probed: () => {
      probe = clock.monoMs()
    },
    gone: async (atMostMs, hurry) => {
      const until = clock.monoMs() + atMostMs
      for (;;) {
        const now = clock.monoMs()
        const left = until - now
        if (left <= 0 || hurry.aborted) return
        const watched = now - probe < PROBED_MS
        const quietIn = last + QUIET_MS - now
        if (!watched && quietIn <= 0) return
        await clock.sleep(Math.min(left, watched ? 200 : Math.max(quietIn, 10)), hurry)
      }
    },
  }
}
