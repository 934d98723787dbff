import type { TokenParams, TokenResponse } from '../provider/types.ts'
import { type Lease, type LiveSession, LOGIN_TOKEN, type Secret, type TokenAnswer } from '../types.ts'
import { down, heldBy, type RefreshJob, storeArrival, usable } from './arrival.ts'
import { isExpiringSoon } from './freshness.ts'
import { plainRefreshParams, refreshParams, scopesToAsk } from './grant.ts'
import type { Parts } from './parts.ts'
import { suspend } from './suspension.ts'

const LEASE_MS = 15_000
const LEASE_WAIT_MS = 20_000
/** A moment for a provider whose storage hiccups (R19), short enough for somebody who waits. */
const RETRY_MS = 750

/**
 * Everything that uses the refresh token, under the session's lease (RFC 9700 §4.14: a rotated token used twice kills
 * the chain). Inside: read again, see whether somebody brought the token meanwhile, ask, store what was rotated first.
 */
export async function refreshUnderLease(p: Parts, job: RefreshJob): Promise<TokenAnswer> {
  return p.lanes.inLane(job.id, async () => {
    const lease = await p.o.leases.acquire(job.id, LEASE_MS, LEASE_WAIT_MS)
    if (lease === undefined) return (await heldBy(p, job)) ?? down(1)
    try {
      return await underLease(p, job, lease)
    } finally {
      // It runs out by itself; what was done under it counts either way.
      await lease.release().catch(() => undefined)
    }
  })
}

async function underLease(p: Parts, job: RefreshJob, lease: Lease): Promise<TokenAnswer> {
  const live = await p.o.sessions.load(job.id)
  if (live === undefined) return { kind: 'ended' }
  const held = usable(p, job, live)
  if (held !== undefined && !isExpiringSoon(held, p.o.clock.wallMs()) && live.state.suspendedUntil === undefined)
    return { kind: 'token', token: held }
  const stored = await p.o.vault.refreshToken(job.id)
  if (stored === undefined)
    return held === undefined
      ? { kind: 'none', reason: 'the session has no refresh token' }
      : { kind: 'token', token: held }
  if (lease.lost.aborted) return down(1)

  const { answer, asked } = await askPatiently(p, job, live, stored.token, lease)
  p.tell('refresh', job.slot, answer)
  if (answer.kind === 'ok') return storeArrival(p, job, live, lease, answer, asked)
  // It may have ended while we asked: its refresh token is then revoked, and whoever waits is told the end, not an outage.
  if (answer.kind === 'down') return (await heldBy(p, job)) ?? down(answer.retryAfterS)
  if (answer.error === 'invalid_grant') {
    return job.target === undefined
      ? suspend(p, job.id, () => refreshUnderLease(p, job))
      : proveSession(p, job, live, lease)
  }
  return held === undefined ? refused(p, job, answer.error, answer.description) : { kind: 'token', token: held }
}

/**
 * invalid_grant for one service may be about that service alone (Entra ID says it for a consent that is missing), so a
 * plain refresh tells whether the session is good: if it is, the service is asked once more, and refused if it must be.
 */
async function proveSession(p: Parts, job: RefreshJob, live: LiveSession, lease: Lease): Promise<TokenAnswer> {
  const plain = { id: job.id, slot: LOGIN_TOKEN, target: undefined, rejected: live.tokens.get(LOGIN_TOKEN)?.id }
  const proof = await underLease(p, plain, lease)
  if (proof.kind !== 'token') return proof
  const stored = await p.o.vault.refreshToken(job.id)
  if (stored === undefined || lease.lost.aborted) return down(1)
  const { answer, asked } = await askOnce(p, job, live, stored.token, true)
  p.tell('refresh', job.slot, answer)
  if (answer.kind === 'ok') return storeArrival(p, job, live, lease, answer, asked)
  if (answer.kind === 'down') return down(answer.retryAfterS)
  return refused(p, job, answer.error, answer.description)
}

interface Asked {
  readonly answer: TokenResponse
  readonly asked: readonly string[] | undefined
}

/**
 * One ask; one more without scope after invalid_scope; one more after invalid_grant, with the newest refresh token there
 * is: at once where somebody rotated it, after a moment where it is the same.
 */
async function askPatiently(
  p: Parts,
  job: RefreshJob,
  live: LiveSession,
  refreshToken: Secret,
  lease: Lease,
): Promise<Asked> {
  const first = await askOnce(p, job, live, refreshToken, true)
  if (first.answer.kind !== 'oauth_error') return first
  if (first.answer.error === 'invalid_scope' && (job.target?.service.scopes.length ?? 0) > 0)
    return askOnce(p, job, live, refreshToken, false)
  if (first.answer.error !== 'invalid_grant') return first
  let again = await p.o.vault.refreshToken(job.id)
  if (again?.token.reveal() === refreshToken.reveal()) {
    if (job.target !== undefined) return first
    await p.o.clock.sleep(RETRY_MS, lease.lost)
    again = await p.o.vault.refreshToken(job.id)
  }
  // Without the lease somebody else may be using it by now.
  if (again === undefined || lease.lost.aborted)
    return { answer: { kind: 'down', retryAfterS: 1, detail: 'the lease was lost' }, asked: first.asked }
  return askOnce(p, job, live, again.token, true)
}

async function askOnce(
  p: Parts,
  job: RefreshJob,
  live: LiveSession,
  refreshToken: Secret,
  withScope: boolean,
): Promise<Asked> {
  const provider = p.providerOf(live)
  if (provider === undefined)
    return { answer: { kind: 'down', retryAfterS: 30, detail: 'provider not configured' }, asked: undefined }
  const t = job.target
  const asked = t === undefined || !withScope ? undefined : scopesToAsk(t.service, live.state.scopes)
  const params: TokenParams =
    t === undefined
      ? plainRefreshParams(refreshToken)
      : refreshParams({ service: t.service, scope: asked }, refreshToken)
  const answer = await provider.tokenRequest(params, {
    ...(t?.client === undefined ? {} : { client: t.client }),
    ...(t?.service.tokenEndpoint === undefined ? {} : { tokenEndpoint: t.service.tokenEndpoint }),
  })
  return { answer, asked: asked ?? live.state.scopes }
}

function refused(p: Parts, job: RefreshJob, error: string, description: string | undefined): TokenAnswer {
  if (job.target !== undefined) p.noteRefusal(job.id, job.target, error, description)
  return { kind: 'none', reason: error }
}
