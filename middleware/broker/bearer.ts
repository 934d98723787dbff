import { createHash } from 'node:crypto'
import { BoundedMap } from '../bounded-map.ts'
import type { EpochMs, Secret, ServiceToken, SessionId, TokenAnswer, TokenId } from '../types.ts'
import { audienceFits, decodeJwt, expiryOf, readAudiences, readScopes, stillFits } from './audience.ts'
import { ask } from './exchange.ts'
import { isValid } from './freshness.ts'
import type { Parts } from './parts.ts'
import type { Target } from './types.ts'

/**
 * A machine caller's own token, verified before it came here, for one service: exchanged where the service says so, else
 * passed on where it is for that very service already. Nothing of it is stored; exchanged ones live in memory, named by
 * a hash of the caller's token.
 */
export interface BearerTokens {
  warm(t: Target, token: Secret, rejected: TokenId | undefined): ServiceToken | undefined
  fetch(t: Target, token: Secret): Promise<TokenAnswer>
}

export function createBearerTokens(p: Parts): BearerTokens {
  const cache = new BoundedMap<string, ServiceToken>(p.o.mostBearers ?? 5_000)
  return {
    warm: (t, token, rejected) => {
      const known = exchanges(t) ? cache.get(cacheKey(t, token)) : asItIs(t, token, p.o.clock.wallMs())
      return known !== undefined &&
        known.id !== rejected &&
        isValid(known, p.o.clock.wallMs()) &&
        stillFits(known, t.service)
        ? known
        : undefined
    },
    fetch: async (t, token) => {
      if (!exchanges(t)) return { kind: 'none', reason: 'the caller’s token is not for this service' }
      const answer = await ask(p, t, token, [])
      if (answer.kind === 'down') return { kind: 'down', what: 'provider', retryAfterS: answer.retryAfterS }
      if (answer.kind === 'wrong') return p.dropWrong(callerId(t, token), t, answer)
      if (answer.kind === 'refused') {
        p.noteRefusal(callerId(t, token), t, answer.error, answer.description)
        return { kind: 'none', reason: answer.error }
      }
      cache.set(cacheKey(t, token), answer.token)
      return answer
    },
  }
}

function exchanges(t: Target): boolean {
  return t.strategy === 'token_exchange' || t.strategy === 'jwt_bearer'
}

/** A reload may give a service another client or strategy: what was got before is another's. */
export function cacheKey(t: Target, token: Secret): string {
  const by = `${t.service.name} ${t.strategy} ${t.client?.clientId ?? ''}`
  return `${createHash('sha256').update(token.reveal()).digest('base64url')} ${by}`
}

/** Under which name a no is remembered: each caller's token is another subject, as each session is. */
export function callerId(t: Target, token: Secret): SessionId {
  return `bearer ${cacheKey(t, token)}` as SessionId
}

function asItIs(t: Target, value: Secret, now: EpochMs): ServiceToken | undefined {
  const claims = decodeJwt(value.reveal())
  if (claims === undefined) return undefined
  const audiences = readAudiences(claims['aud'])
  if (!audienceFits(audiences, t.audience, t.service.allowOtherAudiences)) return undefined
  return {
    id: cacheKey(t, value) as TokenId,
    service: t.service.name,
    value,
    type: 'Bearer',
    audiences,
    scopes: readScopes(claims) ?? [],
    receivedAt: now,
    expiresAt: expiryOf(now, undefined, claims['exp']),
  }
}
