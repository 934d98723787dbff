import type { EpochMs, ServiceToken } from '../types.ts'

const AHEAD_MIN_MS = 30_000
const AHEAD_MAX_MS = 5 * 60_000
/** A token that tells no lifetime is looked at again after this; until then the upstream's 401 is what tells. */
const UNKNOWN_LIFETIME_MS = 10 * 60_000
/** What an upstream still needs to receive and check it. */
const MARGIN_MS = 2_000

export function isValid(token: ServiceToken, now: EpochMs): boolean {
  return token.expiresAt === undefined || token.expiresAt - MARGIN_MS > now
}

/**
 * Whether to refresh ahead: in the last 30 s or tenth of its life, whichever is longer, but never earlier than half of
 * it, so that a provider with very short tokens is not asked on every request.
 */
export function isExpiringSoon(token: ServiceToken, now: EpochMs): boolean {
  if (token.expiresAt === undefined) return now - token.receivedAt > UNKNOWN_LIFETIME_MS
  const lifetime = token.expiresAt - token.receivedAt
  const ahead = Math.min(Math.max(AHEAD_MIN_MS, lifetime / 10), AHEAD_MAX_MS, lifetime / 2)
  return token.expiresAt - now < ahead
}
