import { createLate } from '../late.ts'
import type { BffEvent } from '../types.ts'

export interface Metrics {
  observe(e: BffEvent): void
  decision(mouth: string, outcome: string, code: string, seconds: number): void
  readonly setStoreUp: (up: boolean) => void
  readonly setProviderUp: (provider: string, up: boolean) => void
  /** Begins to measure the process itself. Never rejects. */
  readonly load: () => Promise<void>
  text(): Promise<string>
  readonly contentType: string
}

/** What was counted and measured, until prom-client is told: hashing the labels of every check costs more than counting it. */
export interface Tally {
  readonly decisions: ReturnType<typeof createDecisions>
  readonly refreshes: Counts
  readonly ended: Counts
  readonly logins: Counts
  readonly rejected: Counts
  readonly durations: Durations
  /** As last seen; undefined until then. */
  storeUp: boolean | undefined
  readonly providersUp: Map<string, boolean>
}

/** Prometheus metrics. Counting needs no library; prom-client, which writes them, is loaded when the listeners are up. */
export function createMetrics(): Metrics {
  const tally: Tally = {
    decisions: createDecisions(),
    refreshes: createCounts(),
    ended: createCounts(),
    logins: createCounts(),
    rejected: createCounts(),
    durations: createDurations(),
    storeUp: undefined,
    providersUp: new Map(),
  }
  const registry = createLate(async () => (await import('./registry.ts')).createRegistry(tally))
  const text = (v: unknown): string => (typeof v === 'string' ? v : 'unknown')
  return {
    observe: (e) => {
      const f = e.fields ?? {}
      switch (e.name) {
        case 'token_refresh':
          tally.refreshes.add(text(f['strategy']), text(f['result']))
          break
        case 'session_ended':
          tally.ended.add(text(f['reason']))
          break
        case 'login_ok':
          tally.logins.add('ok')
          break
        case 'login_failed':
          tally.logins.add(text(f['code']))
          break
        case 'upstream_rejected_token':
          tally.rejected.add(text(f['service']))
          break
        case 'store_down':
        case 'store_up':
          tally.storeUp = e.name === 'store_up'
          break
        case 'provider_down':
        case 'provider_up':
          tally.providersUp.set(text(f['provider']), e.name === 'provider_up')
          break
      }
    },
    decision: (mouth, outcome, code, seconds) => {
      tally.decisions.add(mouth, outcome, code)
      tally.durations.add(seconds)
    },
    setStoreUp: (up) => (tally.storeUp = up),
    setProviderUp: (provider, up) => tally.providersUp.set(provider, up),
    load: () =>
      registry.load().then(
        () => undefined,
        () => undefined,
      ),
    text: async () => (await registry.load()).metrics(),
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
  }
}

/** How often each thing came since it was last told, by the values of its labels. */
export interface Counts {
  readonly add: (...labels: readonly string[]) => void
  /** Hands over what was counted, and forgets it. */
  readonly take: (f: (labels: readonly string[], n: number) => void) => void
}

function createCounts(): Counts {
  const waiting = new Map<string, { readonly labels: readonly string[]; n: number }>()
  return {
    add: (...labels) => {
      const key = labels.join('|')
      const seen = waiting.get(key)
      if (seen === undefined) waiting.set(key, { labels, n: 1 })
      else seen.n += 1
    },
    take: (f) => {
      for (const { labels, n } of waiting.values()) f(labels, n)
      waiting.clear()
    },
  }
}

/** The same for every check: a few kinds of decisions in a list, since a key made of their labels would be a new text each time. */
function createDecisions() {
  const waiting: { readonly mouth: string; readonly outcome: string; readonly code: string; n: number }[] = []
  const take: Counts['take'] = (f) => {
    for (const { mouth, outcome, code, n } of waiting) f([mouth, outcome, code], n)
    waiting.length = 0
  }
  return {
    add: (mouth: string, outcome: string, code: string): void => {
      const seen = waiting.find((w) => w.code === code && w.outcome === outcome && w.mouth === mouth)
      if (seen === undefined) waiting.push({ mouth, outcome, code, n: 1 })
      else seen.n += 1
    },
    take,
  }
}

export const BUCKETS_S = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]

/** A histogram's numbers. The library's `observe` costs a twentieth of a warm check. */
export interface Durations {
  readonly add: (seconds: number) => void
  /** How many were no longer than each of {@link BUCKETS_S}, and were longer than all; each alone. */
  readonly counts: Float64Array
  readonly sum: () => number
}

function createDurations(): Durations {
  const counts = new Float64Array(BUCKETS_S.length + 1)
  let sum = 0
  return {
    add: (seconds) => {
      let i = 0
      while (i < BUCKETS_S.length && seconds > (BUCKETS_S[i] ?? 0)) i++
      counts[i] = (counts[i] ?? 0) + 1
      sum += seconds
    },
    counts,
    sum: () => sum,
  }
}
