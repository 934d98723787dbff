import { Counter, Gauge, type Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import type { BffEvent } from '../types.ts'

export interface Metrics {
  observe(e: BffEvent): void
  decision(mouth: string, outcome: string, code: string, seconds: number): void
  readonly setStoreUp: (up: boolean) => void
  readonly setProviderUp: (provider: string, up: boolean) => void
  text(): Promise<string>
  readonly contentType: string
}

interface DecisionLabels {
  readonly mouth: string
  readonly outcome: string
  readonly code: string
}

/** Prometheus metrics, in a registry of their own so that two services in one process do not meet. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const waiting: { readonly labels: DecisionLabels; n: number }[] = []
  new Counter({
    name: 'bff_decisions_total',
    help: 'Decisions by mouth, outcome and code',
    labelNames: ['mouth', 'outcome', 'code'],
    registers,
    // Counted in a list and handed over when somebody asks: hashing the labels of every check costs more than counting it.
    collect() {
      for (const { labels, n } of waiting) this.inc({ ...labels }, n)
      waiting.length = 0
    },
  })
  const observeDuration = createDurations(registry)
  const refreshes = new Counter({
    name: 'bff_token_refreshes_total',
    help: 'Calls for a service token',
    labelNames: ['strategy', 'result'],
    registers,
  })
  const ended = new Counter({
    name: 'bff_sessions_ended_total',
    help: 'Sessions ended, by reason',
    labelNames: ['reason'],
    registers,
  })
  const logins = new Counter({
    name: 'bff_logins_total',
    help: 'Sign-ins by result',
    labelNames: ['result'],
    registers,
  })
  const rejected = new Counter({
    name: 'bff_upstream_rejected_tokens_total',
    help: '401 answers of an upstream in spite of a token',
    labelNames: ['service'],
    registers,
  })
  const storeUp = new Gauge({ name: 'bff_store_up', help: '1 while the session store answers', registers })
  const providerUp = new Gauge({
    name: 'bff_provider_up',
    help: '1 while the provider answers',
    labelNames: ['provider'],
    registers,
  })
  const text = (v: unknown): string => (typeof v === 'string' ? v : 'unknown')
  return {
    observe: (e) => {
      const f = e.fields ?? {}
      switch (e.name) {
        case 'token_refresh':
          refreshes.inc({ strategy: text(f['strategy']), result: text(f['result']) })
          break
        case 'session_ended':
          ended.inc({ reason: text(f['reason']) })
          break
        case 'login_ok':
          logins.inc({ result: 'ok' })
          break
        case 'login_failed':
          logins.inc({ result: text(f['code']) })
          break
        case 'upstream_rejected_token':
          rejected.inc({ service: text(f['service']) })
          break
        case 'store_down':
        case 'store_up':
          storeUp.set(e.name === 'store_up' ? 1 : 0)
          break
        case 'provider_down':
        case 'provider_up':
          providerUp.set({ provider: text(f['provider']) }, e.name === 'provider_up' ? 1 : 0)
          break
      }
    },
    decision: (mouth, outcome, code, seconds) => {
      const seen = waiting.find(
        (w) => w.labels.code === code && w.labels.outcome === outcome && w.labels.mouth === mouth,
      )
      if (seen === undefined) waiting.push({ labels: { mouth, outcome, code }, n: 1 })
      else seen.n += 1
      observeDuration(seconds)
    },
    setStoreUp: (up) => storeUp.set(up ? 1 : 0),
    setProviderUp: (provider, up) => providerUp.set({ provider }, up ? 1 : 0),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}

const BUCKETS_S = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]

/**
 * The histogram of decisions. It is counted in an array, since the library's `observe` costs a twentieth of a warm check,
 * and told in the library's form when somebody asks.
 */
function createDurations(registry: Registry): (seconds: number) => void {
  const name = 'bff_decision_duration_seconds'
  const counts = new Float64Array(BUCKETS_S.length + 1)
  let sum = 0
  const told: () => Promise<object> = async () => {
    let total = 0
    const values = [...counts].map((n, i) => {
      total += n
      return { metricName: `${name}_bucket`, labels: { le: BUCKETS_S[i] ?? '+Inf' }, value: total }
    })
    return {
      name,
      help: 'Time from facts to decision',
      type: 'histogram',
      aggregator: 'sum',
      values: [
        ...values,
        { metricName: `${name}_sum`, labels: {}, value: sum },
        { metricName: `${name}_count`, labels: {}, value: total },
      ],
    }
  }
  registry.registerMetric({ name, get: told } as unknown as Histogram)
  return (seconds) => {
    let i = 0
    while (i < BUCKETS_S.length && seconds > (BUCKETS_S[i] ?? 0)) i++
    counts[i] = (counts[i] ?? 0) + 1
    sum += seconds
  }
}
