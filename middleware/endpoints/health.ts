import type { Provider } from '../provider/types.ts'
import type { Answer, SessionStore } from '../types.ts'
import { json } from './session.ts'

export interface HealthDeps {
  readonly sessions: Pick<SessionStore, 'health'>
  readonly providers: ReadonlyMap<string, Provider>
  readonly isDraining: () => boolean
  /** Refusals of the provider that somebody must mend. */
  readonly faults: () => readonly string[]
  readonly setStoreUp: (up: boolean) => void
  readonly setProviderUp: (name: string, up: boolean) => void
}

/** 200 while the process lives; says nothing else, so that anybody may ask. */
export function health(): Answer {
  return json(200, { status: 'ok' })
}

/**
 * For alerts: whether sessions can be read and people can sign in. With `scope=local` for probes: whether this process is
 * fit to get traffic, which an outage elsewhere must not deny, or every replica is taken out at once.
 */
export async function ready(scope: string | null, deps: HealthDeps): Promise<Answer> {
  const providers = Object.fromEntries([...deps.providers].map(([name, p]) => [name, p.state()]))
  // Of several, one that is down from the start must not keep people of the others out.
  const discovered = Object.values(providers).some((p) => p.discovered)
  const draining = deps.isDraining()
  for (const [name, p] of Object.entries(providers)) deps.setProviderUp(name, p.up)
  if (scope === 'local') {
    const ok = discovered && !draining
    return json(ok ? 200 : 503, { ready: ok, discovered, draining }, ok ? [] : [['Retry-After', '2']])
  }
  const store = await deps.sessions.health()
  deps.setStoreUp(store.up)
  const ok = store.up && !draining && Object.values(providers).every((p) => p.up && p.discovered)
  return json(
    ok ? 200 : 503,
    { ready: ok, draining, store, providers, faults: deps.faults() },
    ok ? [] : [['Retry-After', '2']],
  )
}
