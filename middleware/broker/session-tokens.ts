import { type LiveSession, LOGIN_TOKEN, type ServiceToken, type TokenAnswer, type TokenId } from '../types.ts'
import { stillFits } from './audience.ts'
import { exchangeForSession } from './exchange.ts'
import { isExpiringSoon, isValid } from './freshness.ts'
import { noteOutcome, type Parts } from './parts.ts'
import { refreshUnderLease } from './refresh.ts'
import type { Target } from './types.ts'

/** One forced refresh a service and session in this time, whatever the upstream keeps rejecting. */
const FORCED_MS = 10_000

/** The token for a service that the session holds and that may be sent now. Pure: the warm path. */
export function heldToken(
  p: Parts,
  live: LiveSession,
  t: Target,
  rejected: TokenId | undefined,
): ServiceToken | undefined {
  const slot = t.strategy === 'login_token' ? LOGIN_TOKEN : t.service.name
  const held = live.tokens.get(slot)
  if (held === undefined || held.id === rejected || !isValid(held, p.o.clock.wallMs()) || !stillFits(held, t.service))
    return undefined
  return slot === LOGIN_TOKEN ? { ...held, service: t.service.name } : held
}

export function wantsRefresh(p: Parts, token: ServiceToken): boolean {
  return isExpiringSoon(token, p.o.clock.wallMs())
}

export function flightKey(live: LiveSession, t: Target): string {
  return `${live.id} ${t.service.name}`
}

/** Gets a token anew and writes down whether that worked. One flight a session and service. */
export async function flyForSession(
  p: Parts,
  live: LiveSession,
  t: Target,
  rejected: TokenId | undefined,
): Promise<TokenAnswer> {
  return p.flights.fly(flightKey(live, t), async () => {
    if (rejected !== undefined && live.tokens.get(t.service.name)?.id === rejected)
      await p.o.vault.drop(live.id, t.service.name)
    const answer = await byStrategy(p, live, t, rejected)
    await noteOutcome(p.o, live.id, t.service.name, answer)
    return answer
  })
}

async function byStrategy(p: Parts, live: LiveSession, t: Target, rejected: TokenId | undefined): Promise<TokenAnswer> {
  switch (t.strategy) {
    case 'refresh':
      if (!live.hasRefreshToken) return { kind: 'none', reason: 'the session has no refresh token' }
      return refreshUnderLease(p, { id: live.id, slot: t.service.name, target: t, rejected })
    case 'login_token':
      return loginTokenAnew(p, live, t, rejected)
    case 'token_exchange':
    case 'jwt_bearer': {
      const fresh = await p.o.sessions.load(live.id)
      if (fresh === undefined) return { kind: 'ended' }
      const held = heldToken(p, fresh, t, rejected)
      return held !== undefined && !wantsRefresh(p, held)
        ? { kind: 'token', token: held }
        : exchangeForSession(p, fresh, t)
    }
    case 'client_credentials':
      throw new Error('machine tokens are no session’s')
  }
}

/** A plain refresh: the login's own access token anew. */
export function renewLogin(p: Parts, live: LiveSession, rejected: TokenId | undefined): Promise<TokenAnswer> {
  return refreshUnderLease(p, { id: live.id, slot: LOGIN_TOKEN, target: undefined, rejected })
}

async function loginTokenAnew(
  p: Parts,
  live: LiveSession,
  t: Target,
  rejected: TokenId | undefined,
): Promise<TokenAnswer> {
  const held = live.tokens.get(LOGIN_TOKEN)
  if (held !== undefined && !stillFits(held, t.service))
    return p.dropWrong(live.id, t, { kind: 'wrong', reason: 'audience', got: held.audiences })
  if (!live.hasRefreshToken) return { kind: 'none', reason: 'the login token is gone and there is no refresh token' }
  const answer = await renewLogin(p, live, rejected)
  if (answer.kind !== 'token') return answer
  if (!stillFits(answer.token, t.service))
    return p.dropWrong(live.id, t, { kind: 'wrong', reason: 'audience', got: answer.token.audiences })
  return { kind: 'token', token: { ...answer.token, service: t.service.name } }
}

/** An upstream that answers 401 to every token must not make us ask the provider on every request. */
export function createForcedGate(p: Parts): (key: string) => boolean {
  const last = new Map<string, number>()
  return (key) => {
    const now = p.o.clock.monoMs()
    const before = last.get(key)
    if (before !== undefined && now - before < FORCED_MS) return false
    for (const [k, at] of last) {
      if (now - at < FORCED_MS) break
      last.delete(k)
    }
    last.delete(key)
    last.set(key, now)
    return true
  }
}
