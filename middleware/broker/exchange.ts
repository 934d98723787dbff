import type { TokenParams, TokenResponse } from '../provider/types.ts'
import { type LiveSession, LOGIN_TOKEN, type Secret, type TokenAnswer, type TokenId } from '../types.ts'
import { type Checked, checkJwt, checkOpaque } from './check-token.ts'
import { isExpiringSoon, isValid } from './freshness.ts'
import { exchangeParams, jwtBearerParams, scopesToAsk } from './grant.ts'
import type { Parts } from './parts.ts'
import { refreshUnderLease } from './refresh.ts'
import type { Target } from './types.ts'

/** A subject younger than this is not made anew after a refusal: the refusal is not about its age. */
const FRESH_MS = 10_000

/**
 * Token exchange or on-behalf-of, with the login's own access token as subject. No refresh token is used, so no lease
 * is held; where the subject is old, or the provider calls it dead (Keycloak: 400 invalid_request, never
 * invalid_grant), it is refreshed under the lease first.
 */
export async function exchangeForSession(p: Parts, live: LiveSession, t: Target): Promise<TokenAnswer> {
  const held = live.tokens.get(LOGIN_TOKEN)
  const now = p.o.clock.wallMs()
  const good = held !== undefined && isValid(held, now) && !(live.hasRefreshToken && isExpiringSoon(held, now))
  const first = good ? { kind: 'token' as const, token: held } : await freshSubject(p, live)
  if (first.kind !== 'token') return first
  const answer = await ask(p, t, first.token.value, live.state.scopes)
  const stale = p.o.clock.wallMs() - first.token.receivedAt > FRESH_MS
  if (answer.kind === 'token' || answer.kind === 'down' || answer.kind === 'wrong')
    return p.keepChecked(live.id, t, answer)
  if (
    !stale ||
    !live.hasRefreshToken ||
    !['invalid_grant', 'invalid_request', 'invalid_token'].includes(answer.error)
  ) {
    p.noteRefusal(live.id, t, answer.error, answer.description)
    return { kind: 'none', reason: answer.error }
  }
  const subject = await freshSubject(p, live, first.token.id)
  if (subject.kind !== 'token') return subject
  const second = await ask(p, t, subject.token.value, live.state.scopes)
  if (second.kind !== 'refused') return p.keepChecked(live.id, t, second)
  p.noteRefusal(live.id, t, second.error, second.description)
  return { kind: 'none', reason: second.error }
}

function freshSubject(p: Parts, live: LiveSession, rejected?: TokenId): Promise<TokenAnswer> {
  if (!live.hasRefreshToken)
    return Promise.resolve({ kind: 'none', reason: 'the login token has expired and there is no refresh token' })
  return refreshUnderLease(p, { id: live.id, slot: LOGIN_TOKEN, target: undefined, rejected })
}

type Exchanged =
  Checked | { readonly kind: 'refused'; readonly error: string; readonly description: string | undefined }

/** The exchange itself, and once more without scope after invalid_scope. Used for a bearer's own token, too. */
export async function ask(p: Parts, t: Target, subject: Secret, grantedScopes: readonly string[]): Promise<Exchanged> {
  const scope = scopesToAsk(t.service, grantedScopes)
  let answer = await send(p, t, params(t, subject, scope))
  if (answer.kind === 'oauth_error' && answer.error === 'invalid_scope' && scope !== undefined)
    answer = await send(p, t, params(t, subject, undefined))
  if (answer.kind === 'down') return { kind: 'down', retryAfterS: answer.retryAfterS }
  if (answer.kind === 'oauth_error') return { kind: 'refused', error: answer.error, description: answer.description }
  const arrival = { granted: answer, asked: scope, receivedAt: p.o.clock.wallMs() }
  return checkJwt(p.o, t, arrival) ?? (await checkOpaque(p.o, t, arrival))
}

function params(t: Target, subject: Secret, scope: readonly string[] | undefined): TokenParams {
  const a = { service: t.service, scope }
  return t.strategy === 'jwt_bearer' ? jwtBearerParams(a, subject) : exchangeParams(a, subject, t.client === undefined)
}

/** One call for a target, as its client and at its endpoint, told as a metric. */
export async function send(p: Parts, t: Target, form: TokenParams): Promise<TokenResponse> {
  const answer = await t.provider.tokenRequest(form, {
    ...(t.client === undefined ? {} : { client: t.client }),
    ...(t.service.tokenEndpoint === undefined ? {} : { tokenEndpoint: t.service.tokenEndpoint }),
  })
  p.tell(t.strategy, t.service.name, answer)
  return answer
}
