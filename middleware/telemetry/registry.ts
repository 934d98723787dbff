import { Counter, Gauge, type Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import { BUCKETS_S, type Counts, type Durations, type Tally } from './metrics.ts'

/** What a tally says, in Prometheus's words. A registry of its own, so that two services in one process do not meet. */
export function createRegistry(tally: Tally): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const counter = (name: string, help: string, labelNames: readonly string[], counts: Pick<Counts, 'take'>): void => {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        counts.take((labels, n) =>
          this.inc(Object.fromEntries(labelNames.map((name, i) => [name, labels[i] ?? ''])), n),
        )
      },
    })
  }
  counter('bff_decisions_total', 'Decisions by mouth, outcome and code', ['mouth', 'outcome', 'code'], tally.decisions)
  tellDurations(registry, tally.durations)
  counter('bff_token_refreshes_total', 'Calls for a service token', ['strategy', 'result'], tally.refreshes)
  counter('bff_sessions_ended_total', 'Sessions ended, by reason', ['reason'], tally.ended)
  counter('bff_logins_total', 'Sign-ins by result', ['result'], tally.logins)
  counter(
    'bff_upstream_rejected_tokens_total',
    '401 answers of an upstream in spite of a token',
    ['service'],
    tally.rejected,
  )
  new Gauge({
    name: 'bff_store_up',
    help: '1 while the session store answers',
    registers,
    collect() {
      if (tally.storeUp !== undefined) this.set(tally.storeUp ? 1 : 0)
    },
  })
  new Gauge({
    name: 'bff_provider_up',
    help: '1 while the provider answers',
    labelNames: ['provider'],
    registers,
    collect() {
      for (const [provider, up] of tally.providersUp) this.set({ provider }, up ? 1 : 0)
    },
  })
  return registry
}

/** The histogram of decisions, in the form that the library's own would have. */
function tellDurations(registry: Registry, durations: Durations): void {
  const name = 'bff_decision_duration_seconds'
  const told: () => Promise<object> = async () => {
    let total = 0
    const values = [...durations.counts].map((n, i) => {
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
        { metricName: `${name}_sum`, labels: {}, value: durations.sum() },
        { metricName: `${name}_count`, labels: {}, value: total },
      ],
    }
  }
  registry.registerMetric({ name, get: told } as unknown as Histogram)
}
