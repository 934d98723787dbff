import { isIP } from 'node:net'
import { BoundedMap } from '../bounded-map.ts'
import type { RateLimit } from '../../config/types.ts'
import type { BrowserRequest, Clock, Emit } from '../types.ts'

export interface RateLimiter {
  /** undefined: go on; else seconds to wait. Monotonic time. */
  check(key: string, limit: RateLimit): number | undefined
}

/** How many people may be behind an address that a gateway did not tell apart. */
const SHARED_TIMES = 100

/**
 * Whose count a request is on, and how far it may go: its address (IPv6 by /64), or, behind a gateway that does not say
 * whose request it forwards, one count for all of them, so wide that it throttles no ordinary crowd.
 */
export function addressLimit(
  r: Pick<BrowserRequest, 'clientIp' | 'sharedAddress' | 'correlationId'>,
  limit: RateLimit,
  emit: Emit,
): { readonly key: string; readonly limit: RateLimit } {
  if (!r.sharedAddress) return { key: addressBlock(r.clientIp), limit }
  emit({ name: 'client_address_unknown', correlationId: r.correlationId, fields: { peer: r.clientIp } })
  return { key: `shared|${r.clientIp}`, limit: { ...limit, count: limit.count * SHARED_TIMES } }
}

/** What limits count by: an IPv4 address, or the /64 that one IPv6 subscriber has to itself (RFC 6177). */
function addressBlock(address: string): string {
  if (isIP(address) !== 6) return address
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const middle = tail === undefined ? 0 : 8 - left.length - right.length
  const groups = [...left, ...Array.from({ length: Math.max(0, middle) }, () => '0'), ...right]
  return `${groups.slice(0, 4).join(':')}::/64`
}

const MOST_KEYS = 50_000

/**
 * Counts per key in this process, in bounded memory: a login start writes nothing to the store, so its limit cannot live
 * there. A token bucket, so that a burst up to the whole limit passes and then its rate.
 */
export function createRateLimiter(clock: Clock): RateLimiter {
  const buckets = new BoundedMap<string, { left: number; at: number }>(MOST_KEYS)
  return {
    check: (key, limit) => {
      const now = clock.monoMs()
      const bucket = buckets.get(key) ?? { left: limit.count, at: now }
      const left = Math.min(limit.count, bucket.left + ((now - bucket.at) * limit.count) / limit.perMs)
      buckets.set(key, { left: left < 1 ? left : left - 1, at: now })
      return left < 1 ? Math.ceil(((1 - left) * limit.perMs) / limit.count / 1000) : undefined
    },
  }
}
