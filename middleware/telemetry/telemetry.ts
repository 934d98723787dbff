import pino, { type DestinationStream, type Logger } from 'pino'
import type { Settings } from '../../config/types.ts'
import type { BffEvent, Emit } from '../types.ts'
import { EVENTS } from './events.ts'
import { createFaults } from './faults.ts'
import { createMetrics, type Metrics } from './metrics.ts'

export interface Telemetry {
  readonly emit: Emit
  readonly log: Logger
  readonly metrics: Metrics
  setLevel(level: Settings['log']['level']): void
  /** What the provider refuses for reasons of registration or ability, lately: for /ready. */
  readonly faults: () => readonly string[]
  flush(): void
}

/** Said once a peer: they come with every request. */
const ONCE_A_PEER: ReadonlySet<string> = new Set(['untrusted_peer', 'client_address_unknown'])

/**
 * The product's voice: events become JSON lines (pino) and Prometheus metrics. Fields are written as given, so whoever
 * emits passes no token, cookie, code, secret or verifier; `Secret` values show as `[secret]` all the same.
 */
export function createTelemetry(level: Settings['log']['level'], destination?: DestinationStream): Telemetry {
  const sink = destination ?? pino.destination({ dest: 1, sync: false, minLength: 0 })
  const log = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    sink,
  )
  const metrics = createMetrics()
  const strangers = new Set<unknown>()
  const faults = createFaults()
  const emit = (e: BffEvent): void => {
    metrics.observe(e)
    faults.take(e)
    if (ONCE_A_PEER.has(e.name) && !isNew(strangers, `${e.name}|${String(e.fields?.['peer'])}`)) return
    const kind = EVENTS[e.name]
    const fields = e.fields ?? {}
    const at = typeof kind?.level === 'function' ? kind.level(fields) : (kind?.level ?? 'info')
    if (!log.isLevelEnabled(at)) return
    const text = kind === undefined ? e.name : typeof kind.msg === 'string' ? kind.msg : kind.msg(fields)
    log[at](e.correlationId === undefined ? fields : { correlation_id: e.correlationId, ...fields }, text)
  }
  return {
    emit,
    log,
    metrics,
    faults: faults.list,
    setLevel: (next) => {
      log.level = next
    },
    flush: () => {
      // Only a file destination buffers; a stream that a test passes has no flushSync.
      if ('flushSync' in sink && typeof sink.flushSync === 'function') (sink as { flushSync(): void }).flushSync()
    },
  }
}

/** A stranger is logged once; so many strangers that they fill memory are somebody's attack, and start over. */
function isNew(seen: Set<unknown>, what: unknown): boolean {
  if (seen.has(what)) return false
  if (seen.size >= 1000) seen.clear()
  seen.add(what)
  return true
}
