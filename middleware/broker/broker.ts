import {
  type Broker,
  type LiveSession,
  type Maybe,
  StoreUnavailable,
  type Subject,
  type TokenAnswer,
  type TokenId,
} from '../types.ts'
import type { Provider } from '../provider/types.ts'
import { callerId, createBearerTokens, type BearerTokens } from './bearer.ts'
import { inTime } from './deadline.ts'
import { createMachineTokens, type MachineTokens } from './machine.ts'
import { createParts, type Parts } from './parts.ts'
import { createForcedGate, flightKey, flyForSession, heldToken, renewLogin, wantsRefresh } from './session-tokens.ts'
import { trickle } from './suspension.ts'
import { findTarget } from './target.ts'
import type { BrokerOptions, Target } from './types.ts'
import { warmUp } from './warm-up.ts'

/**
 * A token for one service: from the session where a good one is held, else by the service's strategy. Warm answers are
 * values; the rest is flown once and answered within `tokens.deadline`, while the flight goes on and is stored.
 * Emits `token_refresh`, `token_dropped`, `token_request_failed`, `session_suspended`, `id_token_rejected`,
 * `bff_service_tokens_mapped`.
 */
export function createBroker(o: BrokerOptions): Broker {
  const parts = createParts(o)
  const b: Desk = {
    machine: createMachineTokens(parts),
    bearer: createBearerTokens(parts),
    mayForce: createForcedGate(parts),
  }
  const stopListening = o.sessions.onEnded((id) => {
    parts.refusals.forget(id)
    parts.suspended.get(id)?.abort()
  })
  const names = (): readonly string[] =>
    [...o.settings().services.values()].filter((s) => s.audience !== undefined).map((s) => s.name)

  return {
    token: (subject, service, ask) => answer(parts, b, subject, service, ask),
    warmUp: (session, correlationId) =>
      warmUp(parts, session, {
        names: names(),
        correlationId,
        token: (service) => answer(parts, b, { kind: 'session', session }, service, { correlationId }),
      }),
    services: (live) => names().filter((name) => !live.state.failed.includes(name)),
    drain: async () => {
      stopListening()
      for (const stop of parts.suspended.values()) stop.abort()
      await parts.flights.settled()
      await parts.lanes.settled()
    },
  }
}

interface Desk {
  readonly machine: MachineTokens
  readonly bearer: BearerTokens
  readonly mayForce: (key: string) => boolean
}

type Ask = Parameters<Broker['token']>[2]

/** Only the cold paths pay for carrying the correlation id. */
function answer(p: Parts, b: Desk, subject: Subject, service: string, ask: Ask): Maybe<TokenAnswer> {
  const live = subject.kind === 'session' ? subject.session : undefined
  const found = findTarget(p.o, service, providerFor(p, subject), live)
  if (found.kind === 'none') return found
  const t = found.target
  if (live !== undefined && isSuspended(p, live)) return stillSuspended(p, live)
  if (t.strategy === 'client_credentials') return forMachine(p, b, t, ask)
  switch (subject.kind) {
    case 'session':
      return forSession(p, b, subject.session, t, ask)
    case 'bearer':
      return forBearer(p, b, subject, t, ask)
    case 'client':
      return { kind: 'none', reason: 'the service is for users, not for machines' }
  }
}

function forBearer(
  p: Parts,
  b: Desk,
  subject: Extract<Subject, { kind: 'bearer' }>,
  t: Target,
  ask: Ask,
): Maybe<TokenAnswer> {
  const warm = b.bearer.warm(t, subject.token, ask.rejected)
  if (warm !== undefined) return { kind: 'token', token: warm }
  // A token of a foreign issuer is not shown to our provider unless the operator said who is to exchange it.
  const exchanged = t.strategy === 'token_exchange' || t.strategy === 'jwt_bearer'
  const foreign = t.provider.issuer() !== subject.issuer
  if (exchanged && foreign && t.client === undefined && t.service.tokenEndpoint === undefined)
    return {
      kind: 'none',
      reason: 'the caller’s token is of another issuer, and the service names nobody to exchange it',
    }
  const key = callerId(t, subject.token)
  const no = exchanged ? p.refusals.find(key, t) : undefined
  if (no !== undefined) return { kind: 'none', reason: no }
  if (ask.rejected !== undefined && (!exchanged || (!p.flights.has(key) && !b.mayForce(key))))
    return { kind: 'none', reason: 'the upstream rejects the token that there is' }
  return inTime(
    p,
    p.flights.fly(key, () => b.bearer.fetch(t, subject.token)),
    () => undefined,
  )
}

function forSession(p: Parts, b: Desk, live: LiveSession, t: Target, ask: Ask): Maybe<TokenAnswer> {
  if (ask.rejected !== undefined)
    return inTime(p, again(p.during(ask.correlationId), b, live, t, ask.rejected), () => undefined)
  const held = live.state.suspendedUntil === undefined ? heldToken(p, live, t, undefined) : undefined
  if (held !== undefined) {
    if (wantsRefresh(p, held) && canRenew(live, t) && p.refusals.find(live.id, t) === undefined) {
      background(p, flyForSession(p.during(ask.correlationId), live, t, undefined))
    }
    return { kind: 'token', token: held }
  }
  const no = p.refusals.find(live.id, t)
  if (no !== undefined) return { kind: 'none', reason: no }
  return inTime(p, flyForSession(p.during(ask.correlationId), live, t, undefined), () =>
    heldToken(p, live, t, undefined),
  )
}

/** The upstream rejected one: somebody may have brought another meanwhile, or is bringing it; else one forced refresh. */
async function again(p: Parts, b: Desk, seen: LiveSession, t: Target, rejected: TokenId): Promise<TokenAnswer> {
  const live = await p.o.sessions.load(seen.id)
  if (live === undefined) return { kind: 'ended' }
  const held = heldToken(p, live, t, rejected)
  if (held !== undefined) return { kind: 'token', token: held }
  if (!p.flights.has(flightKey(live, t)) && !b.mayForce(flightKey(live, t)))
    return { kind: 'none', reason: 'the upstream rejects what the provider gives' }
  const next = await flyForSession(p, live, t, rejected)
  return next.kind === 'token' && next.token.id === rejected
    ? { kind: 'none', reason: 'there is no other token' }
    : next
}

function forMachine(p: Parts, b: Desk, t: Target, ask: Ask): Maybe<TokenAnswer> {
  const key = `machine ${t.client?.clientId ?? ''} ${t.service.name}`
  const fly = (): Promise<TokenAnswer> => p.flights.fly(key, () => b.machine.fetch(t, ask.rejected))
  const warm = b.machine.warm(t, ask.rejected)
  const no = p.refusals.find(undefined, t)
  if (warm !== undefined) {
    if (warm.soon && no === undefined) background(p, fly())
    return { kind: 'token', token: warm.token }
  }
  if (no !== undefined) return { kind: 'none', reason: no }
  if (ask.rejected !== undefined && !p.flights.has(key) && !b.mayForce(key))
    return { kind: 'none', reason: 'the upstream rejects what the provider gives' }
  return inTime(p, fly(), () => b.machine.warm(t, ask.rejected)?.token)
}

function isSuspended(p: Parts, live: LiveSession): boolean {
  return live.state.suspendedUntil !== undefined && live.state.suspendedUntil > p.o.clock.wallMs()
}

function stillSuspended(p: Parts, live: LiveSession): TokenAnswer {
  trickle(p, live.id, () => renewLogin(p, live, undefined))
  return { kind: 'ended' }
}

/** A login token without a refresh token behind it cannot be had anew; an exchange can, while its subject lives. */
function canRenew(live: LiveSession, t: Target): boolean {
  return live.hasRefreshToken || t.strategy === 'token_exchange' || t.strategy === 'jwt_bearer'
}

/** What a flight without a waiter fails of shows again in the next one that has a waiter; a bug is told, not thrown. */
function background(p: Parts, flight: Promise<unknown>): void {
  flight.catch((e: unknown) => {
    if (!(e instanceof StoreUnavailable))
      p.o.emit({ name: 'bug', fields: { error: e instanceof Error ? e.name : 'unknown' } })
  })
}

function providerFor(p: Parts, subject: Subject): Provider | undefined {
  if (subject.kind === 'session') return p.providerOf(subject.session)
  const all = [...p.o.providers.values()]
  return subject.kind === 'client' ? all[0] : (all.find((x) => x.issuer() === subject.issuer) ?? all[0])
}
