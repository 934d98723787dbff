import type { Connection } from './connection.ts'
import { ProviderRejected, ProviderUnavailable } from './errors.ts'
import { expectedIssuer } from './id-token.ts'
import { verifySigned } from './keys.ts'
import type { LogoutToken } from './types.ts'

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
/** Logout tokens live two minutes by recommendation (§2.4); an older one is somebody's replay. */
const MAX_AGE_S = 300

/**
 * OpenID Connect Back-Channel Logout 1.0 §2.6, in its order; only whether `jti` came before is left to the caller.
 * `typ`: `logout+jwt` is recommended by the final text (§2.4) and older providers send `JWT` or none, so those pass; any
 * other explicit type (`at+jwt`) is a token made for something else.
 */
export async function verifyLogoutToken(c: Connection, jwt: string): Promise<LogoutToken> {
  const md = await c.metadata.get()
  const v = await verifySigned(await c.keys(), jwt, c.nowMs(), {
    audience: c.options.settings.client.clientId,
    requiredClaims: ['iss', 'aud', 'iat', 'exp', 'jti', 'events'],
    maxTokenAge: MAX_AGE_S,
  })
  if (v.kind === 'unverifiable') throw new ProviderUnavailable(v.reason, 2)
  if (v.kind === 'rejected') {
    if (v.unknownKey) c.metadata.suspect()
    throw bad(v.reason)
  }
  const { claims } = v
  const typ = v.header.typ?.toLowerCase().replace(/^application\//, '')
  if (typ !== undefined && typ !== 'logout+jwt' && typ !== 'jwt') throw bad('typ is not logout+jwt')
  if (claims.iss !== expectedIssuer(md, claims)) throw bad('iss is another issuer')
  if ('nonce' in claims) throw bad('a nonce: this is an id token')
  const events = claims['events']
  const event = typeof events === 'object' && events !== null ? (events as Record<string, unknown>)[EVENT] : undefined
  // §2.4: a JSON object, and a list is none.
  if (typeof event !== 'object' || event === null || Array.isArray(event))
    throw bad('events does not hold the logout event')
  const sid = claims['sid']
  const { sub, jti } = claims
  if (typeof jti !== 'string' || jti === '') throw bad('jti is no text')
  if (
    (sub !== undefined && (typeof sub !== 'string' || sub === '')) ||
    (sid !== undefined && (typeof sid !== 'string' || sid === ''))
  )
    throw bad('sub or sid is no text')
  if (sub === undefined && sid === undefined) throw bad('neither sub nor sid')
  return {
    issuer: md.issuer,
    jti,
    expS: Number(claims.exp),
    ...(sub === undefined ? {} : { sub }),
    ...(typeof sid === 'string' ? { sid } : {}),
  }
}

function bad(reason: string): ProviderRejected {
  return new ProviderRejected('logout_token', 'invalid_logout_token', reason)
}
