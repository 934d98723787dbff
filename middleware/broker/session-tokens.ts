import { type LiveSession, LOGIN_TOKEN, type ServiceToken, type TokenAnswer, type TokenId } from '../types.ts'
import { stillFits } from './audience.ts'
import { type Arrival, checkOpaque } from './check-token.ts'
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
  // An opaque login token that was introspected for this service lies in the service's own slot.
  const slot = t.strategy === 'login_token' && !live.tokens.has(t.service.name) ? LOGIN_TOKEN : t.service.name
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
  const now = p.o.clock.wallMs()
  const good = held !== undefined && held.id !== rejected && isValid(held, now)
  if (good && !(live.hasRefreshToken && isExpiringSoon(held, now))) return judgeLoginToken(p, live, t, held)
  if (!live.hasRefreshToken) return { kind: 'none', reason: 'the login token is gone and there is no refresh token' }
  const answer = await renewLogin(p, live, rejected)
  return answer.kind === 'token' ? judgeLoginToken(p, live, t, answer.token) : answer
}

async function judgeLoginToken(p: Parts, live: LiveSession, t: Target, held: ServiceToken): Promise<TokenAnswer> {
  if (stillFits(held, t.service)) return { kind: 'token', token: { ...held, service: t.service.name } }
  if (held.audiences.length > 0)
    return p.dropWrong(live.id, t, { kind: 'wrong', reason: 'audience', got: held.audiences })
  return p.keepChecked(live.id, t, await checkOpaque(p.o, t, arrivalOf(held)))
}

function arrivalOf(held: ServiceToken): Arrival {
  const expiresInS = held.expiresAt === undefined ? {} : { expiresInS: (held.expiresAt - held.receivedAt) / 1000 }
  return {
    granted: { kind: 'ok', accessToken: held.value, tokenType: held.type, ...expiresInS },
    asked: held.scopes,
    receivedAt: held.receivedAt,
  }
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
