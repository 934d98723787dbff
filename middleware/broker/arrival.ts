import type { TokenGranted } from '../provider/types.ts'
import {
  type Lease,
  type LiveSession,
  LOGIN_TOKEN,
  type ServiceToken,
  type SessionId,
  StoreUnavailable,
  type TokenAnswer,
  type TokenId,
  type Write,
} from '../types.ts'
import { stillFits } from './audience.ts'
import { type Checked, checkJwt, checkOpaque, loginToken } from './check-token.ts'
import { isValid } from './freshness.ts'
import { applyIdentity } from './identity.ts'
import type { Parts } from './parts.ts'
import { updateState, withoutSuspension } from './state.ts'
import type { Target } from './types.ts'

const STORE_TRIES = 8

/** `target` undefined: the login's own access token anew. */
export interface RefreshJob {
  readonly id: SessionId
  readonly slot: string
  readonly target: Target | undefined
  readonly rejected: TokenId | undefined
}

/**
 * What the provider gave, into the store: the rotated refresh token before anything else (with the token, where that can
 * be judged at once), then what the id token tells, then an opaque token once it was introspected.
 */
export async function storeArrival(
  p: Parts,
  job: RefreshJob,
  live: LiveSession,
  lease: Lease,
  granted: TokenGranted,
  asked: readonly string[] | undefined,
): Promise<TokenAnswer> {
  const a = { granted, asked, receivedAt: p.o.clock.wallMs() }
  const early: Checked | undefined =
    job.target === undefined ? { kind: 'token', token: loginToken(p.o, LOGIN_TOKEN, a) } : checkJwt(p.o, job.target, a)
  const idFine = granted.identity?.kind !== 'rejected'
  const written = await storeRotated(p, job, lease, granted, idFine && early?.kind === 'token' ? [early.token] : [])
  if (written !== 'done') return afterLostWrite(p, job, live, granted, written)
  if (live.state.suspendedUntil !== undefined) {
    await updateState(p.o, job.id, withoutSuspension)
    p.o.emit({ name: 'session_resumed', fields: { session: live.record.handle } })
  }

  const outcome =
    granted.identity === undefined
      ? 'unchanged'
      : await applyIdentity(p.o, p.mustProvider(live), live, granted.accessToken, granted.identity)
  if (outcome === 'ended') return { kind: 'ended' }
  if (outcome === 'rejected') return { kind: 'none', reason: 'the refreshed id token was rejected' }
  if (early?.kind === 'token' || job.target === undefined)
    return early?.kind === 'token' ? { kind: 'token', token: early.token } : down(1)
  const checked = early ?? (await checkOpaque(p.o, job.target, a))
  return p.keepChecked(job.id, job.target, checked)
}

/** The rotated refresh token exists nowhere else: a store that is away for a moment must not cost the session. */
async function storeRotated(
  p: Parts,
  job: RefreshJob,
  lease: Lease,
  granted: TokenGranted,
  tokens: readonly ServiceToken[],
): Promise<Write> {
  const idToken = granted.identity?.kind === 'verified' ? granted.identity.idToken : undefined
  const next = {
    ...(granted.refreshToken === undefined ? {} : { refreshToken: granted.refreshToken }),
    ...(idToken === undefined ? {} : { idToken }),
    tokens,
  }
  for (let i = 1; ; i++) {
    try {
      return await p.o.vault.rotate(job.id, next, lease.fence)
    } catch (e) {
      if (!(e instanceof StoreUnavailable) || i === STORE_TRIES) throw e
      await p.o.clock.sleep(Math.min(100 * 2 ** i, 4_000))
    }
  }
}

async function afterLostWrite(
  p: Parts,
  job: RefreshJob,
  live: LiveSession,
  granted: TokenGranted,
  written: Write,
): Promise<TokenAnswer> {
  if (written === 'gone') {
    // Ended while we asked: what the provider just gave belongs to nobody.
    if (granted.refreshToken !== undefined) await p.providerOf(live)?.revoke(granted.refreshToken)
    return { kind: 'ended' }
  }
  return (await heldBy(p, job)) ?? down(1)
}

/** What another flight or replica brought meanwhile. */
export async function heldBy(p: Parts, job: RefreshJob): Promise<TokenAnswer | undefined> {
  const live = await p.o.sessions.load(job.id)
  if (live === undefined) return { kind: 'ended' }
  const held = usable(p, job, live)
  return held === undefined ? undefined : { kind: 'token', token: held }
}

export function usable(p: Parts, job: RefreshJob, live: LiveSession): ServiceToken | undefined {
  const held = live.tokens.get(job.slot)
  if (held === undefined || held.id === job.rejected || !isValid(held, p.o.clock.wallMs())) return undefined
  return job.target === undefined || stillFits(held, job.target.service) ? held : undefined
}

export function down(retryAfterS: number): TokenAnswer {
  return { kind: 'down', what: 'provider', retryAfterS }
}
