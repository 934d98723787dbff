import { StoreUnavailable, type Emit } from '../../types.ts'
import { messageOf, within } from './redis-connection.ts'

export type Call = <T>(kind: 'read' | 'write', work: () => Promise<T>) => Promise<T>

export interface Outage {
  /** Runs a command in a bounded time; what goes wrong is StoreUnavailable and begins an outage. */
  readonly call: Call
  lost(detail: string): void
  /** The connection is back. */
  ready(): void
  /** Why it is down, while it is. */
  detail(): string | undefined
  close(): void
}

export interface OutageOptions {
  readonly stallTimeoutMs: number
  readonly emit: Emit
  readonly probe: (kind: 'read' | 'write') => Promise<unknown>
  readonly sleep: (ms: number, stop: AbortSignal) => Promise<void>
}

const PROBE_EVERY_MS = 500

/**
 * One line when an outage begins and one when it ends. It ends when a probe passes and not with the first command that does,
 * so that a cluster with one bad node, or a server that is full now and then, does not fill the log; and it ends without
 * anybody asking. A full or read-only server still reads: that is an outage of writes, and the probe is one.
 */
export function watchOutages(o: OutageOptions): Outage {
  const limitMs = Math.max(40, Math.round(o.stallTimeoutMs / 2))
  const stop = new AbortController()
  const stopped = (): boolean => stop.signal.aborted
  const open = new Map<'connection' | 'read' | 'write', string>()
  let probing = false
  const begins = (kind: 'connection' | 'read' | 'write', detail: string): void => {
    if (stopped()) return
    if (open.size === 0) o.emit({ name: 'store_down', fields: { store: 'redis', kind, detail } })
    open.set(kind, detail)
    if (!probing) void probe()
  }
  const passes = (kind: 'read' | 'write'): Promise<boolean> =>
    within(limitMs, 'probe', o.probe(kind)).then(
      () => true,
      (e: unknown) => {
        open.set(kind, messageOf(e))
        return false
      },
    )
  const probe = async (): Promise<void> => {
    probing = true
    while (open.size > 0 && !stopped()) {
      await o.sleep(PROBE_EVERY_MS, stop.signal)
      if (stopped() || open.has('connection')) continue
      const passed = await Promise.all((['read', 'write'] as const).filter((kind) => open.has(kind)).map(passes))
      if (passed.includes(false)) continue
      // It may have been lost again while the probe was under way.
      if (open.has('connection')) continue
      open.clear()
      if (!stopped()) o.emit({ name: 'store_up', fields: { store: 'redis' } })
    }
    probing = false
  }
  return {
    call: async (kind, work) => {
      try {
        return await within(limitMs, 'Redis', work())
      } catch (e) {
        begins(kind, messageOf(e))
        throw new StoreUnavailable('Redis did not do it', { cause: e })
      }
    },
    lost: (detail) => begins('connection', detail),
    ready: () => {
      // What is left is for the probe to clear: a server that is back may still be full.
      if (open.delete('connection') && open.size === 0) open.set('read', 'not probed yet')
    },
    detail: () => open.get('connection') ?? open.get('write') ?? open.get('read'),
    close: () => stop.abort(),
  }
}
