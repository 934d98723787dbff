import { signedInAt } from '../provider/auth-age.ts'
import type { IdTokenResult, Provider } from '../provider/types.ts'
import { type Claims, type EpochMs, type LiveSession, LOGIN_TOKEN, type Secret, type SessionState } from '../types.ts'
import { isValid } from './freshness.ts'
import { updateState } from './state.ts'
import type { BrokerOptions } from './types.ts'

/** Claims that describe the id token rather than the user: their coming and going says nothing about stale claims. */
const PROTOCOL = new Set([
  'iss',
  'sub',
  'aud',
  'exp',
  'iat',
  'nbf',
  'jti',
  'nonce',
  'at_hash',
  'c_hash',
  's_hash',
  'azp',
  'auth_time',
  'acr',
  'amr',
  'sid',
  'rh',
  'uti',
  'ver',
  'aio',
  'typ',
  'session_state',
])

export type IdentityOutcome = 'unchanged' | 'changed' | 'rejected' | 'ended'

/**
 * What a refreshed id token means for the session (OpenID Connect Core §12.2: same iss, same sub; a nonce may be
 * missing). Its claims replace the old ones whole, so that a group that was taken away is gone (CVE-2021-41230), and
 * `auth.require` is asked again.
 */
export async function applyIdentity(
  o: BrokerOptions,
  provider: Provider,
  live: LiveSession,
  accessToken: Secret,
  id: IdTokenResult,
): Promise<IdentityOutcome> {
  if (id.kind === 'unverifiable') return 'unchanged'
  if (id.kind === 'rejected') {
    o.emit({ name: 'id_token_rejected', fields: { provider: provider.settings.name, reason: id.reason } })
    return 'rejected'
  }
  const { claims } = id
  if (claims['sub'] !== live.record.sub || claims['iss'] !== live.record.issuer) {
    // The refresh token speaks for somebody else now: nothing of this session may be used again.
    o.emit({ name: 'id_token_rejected', fields: { provider: provider.settings.name, reason: 'another subject' } })
    await o.end([live.id], 'not_allowed')
    return 'ended'
  }
  const identity = await mergeClaims(provider, live, userinfoToken(o, live) ?? accessToken, claims)
  if (o.authorizeSignIn?.(identity, provider.settings) === false) {
    await o.end([live.id], 'not_allowed')
    return 'ended'
  }
  await updateState(o, live.id, (s) => ({
    ...s,
    identity,
    ...newAuthTime(o, s, claims),
    ...(typeof claims['acr'] === 'string' ? { acr: claims['acr'] } : {}),
  }))
  return 'changed'
}

/** Another sign-in at the provider since; the same one keeps its place on our clock. */
function newAuthTime(o: BrokerOptions, s: SessionState, claims: Claims): Partial<SessionState> {
  if (typeof claims['auth_time'] !== 'number') return {}
  const authTime = (claims['auth_time'] * 1000) as EpochMs
  if (authTime === s.authTime && s.signedInAt !== undefined) return {}
  const at = signedInAt(claims, o.clock.wallMs())
  return at === undefined ? { authTime } : { authTime, signedInAt: at }
}

/** A service's token is bound to that service; where the login's own still lives, it is the one that userinfo takes. */
function userinfoToken(o: BrokerOptions, live: LiveSession): Secret | undefined {
  const login = live.tokens.get(LOGIN_TOKEN)
  return login !== undefined && isValid(login, o.clock.wallMs()) ? login.value : undefined
}

/**
 * Userinfo fills what the new id token leaves out, as it did at login. Where it is never asked, or cannot be reached, a
 * thin id token (protocol claims only) leaves the old claims as they are; a full one is the whole truth.
 */
async function mergeClaims(
  provider: Provider,
  live: LiveSession,
  accessToken: Secret,
  claims: Claims,
): Promise<Claims> {
  const old = live.state.identity
  const missing = Object.keys(old).filter((k) => !PROTOCOL.has(k) && !(k in claims))
  if (missing.length === 0) return claims
  const info =
    provider.settings.userinfo === 'never'
      ? undefined
      : await provider.userinfo(accessToken, live.record.sub).catch(() => undefined)
  if (info !== undefined) return { ...info, ...claims }
  const thin = Object.keys(claims).every((k) => PROTOCOL.has(k))
  return thin || provider.settings.userinfo !== 'never' ? { ...old, ...claims } : claims
}
