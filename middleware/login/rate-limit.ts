import type { RateLimit } from '../../config/types.ts'
import type { Clock } from '../types.ts'

export interface RateLimiter {
  /** undefined: go on; else seconds to wait. Monotonic time. */
  check(key: string, limit: RateLimit): number | undefined
}

const MOST_KEYS = 50_000

/**
 * Counts per key in this process, in bounded memory: a login start writes nothing to the store, so its limit cannot live
 * there. A token bucket, so that a burst up to the whole limit passes and then its rate.
 */
export function createRateLimiter(clock: Clock): RateLimiter {
  const buckets = new Map<string, { left: number; at: number }>()
  return {
    check: (key, limit) => {
      const now = clock.monoMs()
      const bucket = buckets.get(key) ?? { left: limit.count, at: now }
      const left = Math.min(limit.count, bucket.left + ((now - bucket.at) * limit.count) / limit.perMs)
      buckets.delete(key)
      if (buckets.size >= MOST_KEYS) dropOldest(buckets)
      // Re-inserted: a Map keeps insertion order, so its first key is the one unused longest.
      buckets.set(key, { left: left < 1 ? left : left - 1, at: now })
      return left < 1 ? Math.ceil(((1 - left) * limit.perMs) / limit.count / 1000) : undefined
    },
  }
}

function dropOldest(buckets: Map<string, unknown>): void {
  const first = buckets.keys().next()
  if (first.done !== true) buckets.delete(first.value)
}
