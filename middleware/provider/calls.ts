import * as client from 'openid-client'
import type { OAuthClient } from '../../config/types.ts'
import type { Claims, Secret } from '../types.ts'
import type { Call, Connection } from './connection.ts'
import { ProviderRejected, ProviderUnavailable } from './errors.ts'
import { classifyFailure } from './token-request.ts'
import type { EndSessionRequest, Introspection } from './types.ts'

/** RFC 7009. Best effort: logout is a success without it, and any answer but 200 says it was not done. */
export async function revoke(c: Connection, token: Secret, hint: 'refresh_token' | 'access_token'): Promise<boolean> {
  try {
    const call = await c.prepare()
    if (call.config.serverMetadata().revocation_endpoint === undefined) return false
    await client.tokenRevocation(call.config, token.reveal(), { token_type_hint: hint })
    // Keycloak answers nonsense with 200 and an error body; there was nothing to revoke then, which is as good.
    return true
  } catch {
    return false
  }
}

export async function endSessionUrl(c: Connection, r: EndSessionRequest): Promise<URL | undefined> {
  try {
    const { config } = await c.prepare()
    if (config.serverMetadata().end_session_endpoint === undefined) return undefined
    return client.buildEndSessionUrl(config, {
      ...(r.postLogoutRedirectUri === undefined ? {} : { post_logout_redirect_uri: r.postLogoutRedirectUri }),
      ...(r.idTokenHint === undefined ? {} : { id_token_hint: r.idTokenHint.reveal() }),
      ...(r.state === undefined ? {} : { state: r.state }),
      ...(r.logoutHint === undefined ? {} : { logout_hint: r.logoutHint }),
    })
  } catch {
    return undefined
  }
}

export async function introspect(c: Connection, token: Secret, by?: OAuthClient): Promise<Introspection | undefined> {
  const call = await c.prepare(by === undefined ? {} : { client: by })
  if (call.config.serverMetadata().introspection_endpoint === undefined) return undefined
  try {
    const answer = await client.tokenIntrospection(call.config, token.reveal())
    return { active: answer.active, claims: answer }
  } catch {
    throw unavailable('introspection', call)
  }
}

/**
 * OpenID Connect Core §5.3. `sub` must be the id token's, or the claims belong to somebody else (§5.3.2); undefined where there is no id
 * token, and `sub` is who userinfo says.
 */
export async function userinfo(
  c: Connection,
  accessToken: Secret,
  expectedSub: string | undefined,
): Promise<Claims | undefined> {
  const call = await c.prepare()
  if (call.config.serverMetadata().userinfo_endpoint === undefined) return undefined
  try {
    // Marked so that it stands out: it does, there is no id token whose subject could be compared.
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    return await client.fetchUserInfo(call.config, accessToken.reveal(), expectedSub ?? client.skipSubjectCheck)
  } catch (e) {
    if (e instanceof client.ClientError && e.code === 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED') {
      throw new ProviderRejected('userinfo', 'subject_mismatch', 'userinfo tells of another subject than the id token')
    }
    throw unavailable('userinfo', call)
  }
}

function unavailable(what: string, call: Call): ProviderUnavailable {
  const failure = classifyFailure(call.exchange)
  return failure.kind === 'down'
    ? new ProviderUnavailable(`${what}: ${failure.detail}`, failure.retryAfterS)
    : new ProviderUnavailable(`${what}: ${failure.error}`, 30)
}
