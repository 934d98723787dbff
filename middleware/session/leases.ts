import type { Clock, Lease, Leases } from '../types.ts'
import type { SessionBackend } from './backend.ts'

type Key = Parameters<SessionBackend['tryLease']>[0]

/** Waiting for another's lease is a poll, spread so that replicas do not ask in step. */
const POLL_MS = 25

/**
 * Leases: renewed at a third of their life while held, lost (and told so) when that does not come through in time, released
 * only by whoever holds them. Time is monotonic. Each grant's fence is higher than every one before.
 */
export function createLeases(backend: SessionBackend, clock: Clock, random: (bytes: number) => Uint8Array): Leases {
  const acquire = async (key: Key, ttlMs: number, waitMs: number): Promise<Lease | undefined> => {
    const owner = Buffer.from(random(12)).toString('base64url')
    const deadline = clock.monoMs() + waitMs
    for (;;) {
      const asked = clock.monoMs()
      const grant = await backend.tryLease(key, owner, ttlMs)
      if (grant === 'gone') return undefined
      if (grant !== undefined) return hold(backend, clock, key, owner, grant.fence, ttlMs, asked)
      const left = deadline - clock.monoMs()
      if (left <= 0) return undefined
      await clock.sleep(Math.min(left, POLL_MS + ((random(1)[0] ?? 0) / 255) * POLL_MS))
    }
  }
  return {
    acquire: (id, ttlMs, waitMs) => acquire({ session: id }, ttlMs, waitMs),
    acquireShared: (key, ttlMs, waitMs) => acquire({ shared: key }, ttlMs, waitMs),
  }
}

function hold(
  backend: SessionBackend,
  clock: Clock,
  key: Key,
  owner: string,
  fence: number,
  ttlMs: number,
  since: number,
): Lease {
  const lost = new AbortController()
  const released = new AbortController()
  const renew = async (): Promise<void> => {
    // Counted from before the question: the store's clock may have started later, never earlier.
    let until = since + ttlMs
    for (;;) {
      await clock.sleep(ttlMs / 3, released.signal)
      if (released.signal.aborted) return
      const asked = clock.monoMs()
      const renewed = await backend.renewLease(key, owner, ttlMs).catch(() => undefined)
      if (renewed === true) until = asked + ttlMs
      if (renewed === false || clock.monoMs() >= until) {
        lost.abort()
        return
      }
    }
  }
  void renew()
  return {
    fence,
    lost: lost.signal,
    release: async () => {
      if (released.signal.aborted) return
      released.abort()
      // One that cannot be given back runs out by itself.
      await backend.releaseLease(key, owner).catch(() => undefined)
    },
  }
}
