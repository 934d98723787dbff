import type { HostPort } from '../../../config/values/store-url.ts'
import { messageOf, type Connection } from './redis-connection.ts'

export interface KeeperOptions {
  /** Where to connect, asked each time. */
  readonly locate: () => Promise<HostPort>
  /** Throws where there is nothing to be kept. */
  readonly open: (at: HostPort) => Promise<Connection>
  readonly up: (c: Connection) => void
  /** The connection is lost, or could not be had. */
  readonly down: (detail: string) => void
  readonly sleep: (ms: number, stop: AbortSignal) => Promise<void>
}

/** Keeps one connection open: finds, connects, and begins anew when it is lost. */
export interface Keeper {
  current(): Connection | undefined
  /**
   * Looks again where to connect, and goes over if `wanted` says so of what is found. The old connection serves until the
   * new one is ready, so that reads go on.
   */
  renew(wanted: (next: HostPort, now: Connection) => boolean): void
  close(): void
}

const FIRST_WAIT_MS = 25
const LONGEST_WAIT_MS = 1000
/** A server that refuses writes is left at most this often for another. */
const RENEW_EVERY_MS = 1000

export function createKeeper(o: KeeperOptions): Keeper {
  const stop = new AbortController()
  const stopped = (): boolean => stop.signal.aborted
  let current: Connection | undefined
  let renewing = false
  const adopt = (c: Connection): void => {
    const before = current
    current = c
    o.up(c)
    before?.close()
    void c.lost.then((detail) => {
      if (current !== c) return
      current = undefined
      if (stopped()) return
      o.down(detail)
      void begin()
    })
  }
  const begin = async (): Promise<void> => {
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2)) {
      try {
        const c = await o.open(await o.locate())
        if (stopped()) c.close()
        else adopt(c)
        return
      } catch (e) {
        if (stopped()) return
        o.down(messageOf(e))
      }
      await o.sleep(waitMs, stop.signal)
      if (stopped()) return
    }
  }
  const renew: Keeper['renew'] = (wanted) => {
    if (renewing || current === undefined) return
    renewing = true
    const seen = current
    const go = async (): Promise<void> => {
      const at = await o.locate()
      if (!wanted(at, seen)) return
      const next = await o.open(at)
      // A second connection to what refused us is none the better.
      if (stopped() || current !== seen || (next.role !== undefined && next.role !== 'master')) next.close()
      else adopt(next)
    }
    void go()
      .catch(() => undefined)
      .then(() => o.sleep(RENEW_EVERY_MS, stop.signal))
      .finally(() => {
        renewing = false
      })
  }
  void begin()
  return {
    current: () => current,
    renew,
    close: () => {
      stop.abort()
      current?.close()
      current = undefined
    },
  }
}
