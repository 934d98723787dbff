import type { TokenStrategy } from '../../config/types.ts'
import { providerOfSession } from '../provider/of-session.ts'
import type { Provider, TokenResponse } from '../provider/types.ts'
import { type LiveSession, type SessionId, StoreUnavailable, type TokenAnswer } from '../types.ts'
import type { Checked } from './check-token.ts'
import { createFlights, type Flights } from './flights.ts'
import { createRefusals, refusalScope, type Refusals } from './refusals.ts'
import { updateState, withOutcome } from './state.ts'
import type { BrokerOptions, Target } from './types.ts'

/** What the files of this room share while a broker lives. */
export interface Parts {
  readonly o: BrokerOptions
  readonly flights: Flights<TokenAnswer>
  readonly lanes: Flights<TokenAnswer>
  readonly refusals: Refusals
  /** Trickles under way for suspended sessions, and how to stop them. */
  readonly suspended: Map<SessionId, AbortController>
  /** The same, for one request: what is emitted carries its correlation id. A joined flight carries the first one's. */
  during(correlationId: string): Parts
  providerOf(live: LiveSession): Provider | undefined
  mustProvider(live: LiveSession): Provider
  /** Remembers a clear no and tells the operator once. */
  noteRefusal(id: SessionId | undefined, t: Target, error: string, description: string | undefined): void
  /** Tells one call's outcome: as a metric, and as a line where the provider is in trouble. */
  tell(strategy: TokenStrategy, service: string, answer: TokenResponse): void
  /** A checked token into its slot, or a wrong one out of sight. */
  keepChecked(id: SessionId, t: Target, c: Checked): Promise<TokenAnswer>
  /** The line that names wanted and got; and not asked for again at once. */
  dropWrong(id: SessionId | undefined, t: Target, c: Extract<Checked, { kind: 'wrong' }>): TokenAnswer
}

export function createParts(o: BrokerOptions): Parts {
  return assemble(o, {
    flights: createFlights(),
    lanes: createFlights(),
    refusals: createRefusals({ clock: o.clock, generation: o.settings }),
    suspended: new Map(),
  })
}

function assemble(o: BrokerOptions, shared: Pick<Parts, 'flights' | 'lanes' | 'refusals' | 'suspended'>): Parts {
  const p: Parts = {
    o,
    ...shared,
    during: (correlationId) => assemble({ ...o, emit: (e) => o.emit({ correlationId, ...e }) }, shared),
    providerOf: (live) => providerOfSession(o.providers, live.record),
    mustProvider: (live) => {
      const provider = providerOfSession(o.providers, live.record)
      if (provider === undefined) throw new Error('the provider of a session vanished under its flight')
      return provider
    },
    noteRefusal: (id, t, error, description) => {
      p.refusals.note(refusalScope(error), id, t, error)
      o.emit({
        name: 'token_request_failed',
        fields: {
          service: t.service.name,
          strategy: t.strategy,
          error,
          ...(description === undefined ? {} : { description }),
        },
      })
    },
    tell: (strategy, service, answer) => {
      const result = answer.kind === 'oauth_error' ? answer.error : answer.kind
      o.emit({ name: 'token_refresh', fields: { strategy, service, result } })
      if (answer.kind === 'down' && answer.known !== true)
        o.emit({
          name: 'token_request_failed',
          fields: { service, strategy, error: 'provider_unavailable', description: answer.detail },
        })
    },
    keepChecked: async (id, t, c) => {
      if (c.kind === 'down') return { kind: 'down', what: 'provider', retryAfterS: c.retryAfterS }
      if (c.kind === 'wrong') return p.dropWrong(id, t, c)
      return (await o.vault.keep(id, c.token)) === 'gone' ? { kind: 'ended' } : { kind: 'token', token: c.token }
    },
    dropWrong: (id, t, c) => {
      o.emit({
        name: 'token_dropped',
        fields: { service: t.service.name, wanted: t.audience, got: c.got, reason: c.reason },
      })
      p.refusals.note('session', id, t, `wrong token: ${c.reason}`)
      return { kind: 'none', reason: `wrong token: ${c.reason}` }
    },
  }
  return p
}

/** Writes whether a service's last attempt failed; a provider or store that is down says nothing about the service. */
export async function noteOutcome(
  o: BrokerOptions,
  id: SessionId,
  service: string,
  answer: TokenAnswer,
): Promise<void> {
  if (answer.kind !== 'token' && answer.kind !== 'none') return
  // The count is for people: a store that is away now must not turn a token that came into a failure.
  await updateState(o, id, (s) => withOutcome(s, service, answer.kind === 'token')).catch((e: unknown) => {
    if (!(e instanceof StoreUnavailable)) throw e
  })
}
