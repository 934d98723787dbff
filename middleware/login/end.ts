import type { Provider } from '../provider/types.ts'
import type { Emit, EndReason, LiveSession, Secret, SessionId, SessionStore, TokenVault } from '../types.ts'

export interface EndDeps {
  readonly sessions: SessionStore
  readonly vault: TokenVault
  readonly provider: (of: LiveSession['record']) => Provider | undefined
  readonly emit: Emit
}

/** The request that ended it, for the audit line. */
export interface Asked {
  readonly correlationId: string
  readonly clientIp: string
}

export interface Ender {
  /** Ends sessions everywhere, then revokes their refresh tokens at the provider without waiting for it. Throws StoreUnavailable. */
  end(ids: readonly SessionId[], reason: EndReason, asked?: Asked): Promise<void>
  /** The same in the background, once for a burst of requests. Never throws. */
  readonly endLater: (ids: readonly SessionId[], reason: EndReason) => void
  /** Revocations under way; for shutdown. */
  drain(): Promise<void>
}

/**
 * Ends a session: record, state, tokens and leases in the store, which tells all replicas; then its refresh token at the
 * provider (RFC 7009), since with `offline_access` a logout there does not stop refreshes.
 */
export function createEnder(deps: EndDeps): Ender {
  const background = new Set<Promise<unknown>>()
  const ending = new Set<SessionId>()
  const later = (work: Promise<unknown>): void => {
    background.add(work)
    void work.finally(() => background.delete(work))
  }
  const end = async (ids: readonly SessionId[], reason: EndReason, asked?: Asked): Promise<void> => {
    const found = await Promise.all(ids.map((id) => gather(id, deps)))
    const ended = new Set(await deps.sessions.end(ids, reason))
    for (const g of found) {
      if (g === undefined || !ended.has(g.session.id)) continue
      const { issuer, sub, handle } = g.session.record
      deps.emit({
        name: 'session_ended',
        ...(asked === undefined ? {} : { correlationId: asked.correlationId }),
        fields: { reason, issuer, sub, session: handle, ...(asked === undefined ? {} : { client_ip: asked.clientIp }) },
      })
      if (g.refreshToken !== undefined && revokes(reason)) later(revoke(g.session, g.refreshToken, deps))
    }
  }
  return {
    end,
    endLater: (ids, reason) => {
      const fresh = ids.filter((id) => !ending.has(id))
      if (fresh.length === 0) return
      for (const id of fresh) ending.add(id)
      const work = end(fresh, reason)
        // The store is down: the session stays as it is and the next request tries again.
        .catch(() => undefined)
        .finally(() => {
          for (const id of fresh) ending.delete(id)
        })
      later(work)
    },
    drain: async () => {
      await Promise.allSettled([...background])
    },
  }
}

/** A dead refresh token need not be revoked; a replaced session's may belong to the same grant as its successor's. */
function revokes(reason: EndReason): boolean {
  return reason !== 'invalid_grant' && reason !== 'replaced'
}

async function gather(
  id: SessionId,
  deps: EndDeps,
): Promise<{ readonly session: LiveSession; readonly refreshToken: Secret | undefined } | undefined> {
  const session = await deps.sessions.loadToEnd(id)
  if (session === undefined) return undefined
  const refresh = session.hasRefreshToken ? await deps.vault.refreshToken(id) : undefined
  return { session, refreshToken: refresh?.token }
}

async function revoke(s: LiveSession, token: Secret, deps: EndDeps): Promise<void> {
  const done = await deps.provider(s.record)?.revoke(token, 'refresh_token')
  if (done !== true)
    deps.emit({ name: 'revocation_failed', fields: { provider: s.record.provider, session: s.record.handle } })
}
