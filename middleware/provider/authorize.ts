import * as client from 'openid-client'
import type { Connection } from './connection.ts'
import { ProviderRejected, ProviderUnavailable } from './errors.ts'
import { classifyFailure } from './token-request.ts'
import type { AuthorizationRequest } from './types.ts'

/** What no `extra_params` may replace: the security of the flow hangs on each of them. */
const OURS = new Set([
  'client_id',
  'response_type',
  'response_mode',
  'redirect_uri',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'request',
  'request_uri',
  'scope',
  'resource',
])

/**
 * Where to send the browser: code flow, PKCE S256 (RFC 7636), state, nonce; pushed where the provider announces PAR
 * (RFC 9126). A push that fails is no reason to send the same parameters through the browser after all.
 */
export async function authorizationUrl(c: Connection, r: AuthorizationRequest): Promise<URL> {
  const { settings } = c.options
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries({ ...settings.extraParams, ...r.extra })) {
    if (!OURS.has(name)) params.set(name, value)
  }
  params.set('response_type', 'code')
  params.set('redirect_uri', r.redirectUri)
  params.set('scope', (r.scope ?? settings.oauthScopes).join(' '))
  params.set('state', r.state)
  params.set('nonce', r.nonce)
  params.set('code_challenge', await client.calculatePKCECodeChallenge(r.codeVerifier))
  params.set('code_challenge_method', 'S256')
  for (const resource of r.resources ?? []) params.append('resource', resource)

  const call = await c.prepare()
  const md = call.config.serverMetadata()
  if (md.pushed_authorization_request_endpoint === undefined) return client.buildAuthorizationUrl(call.config, params)
  try {
    return await client.buildAuthorizationUrlWithPAR(call.config, params)
  } catch {
    const failure = classifyFailure(call.exchange)
    if (failure.kind === 'down')
      throw new ProviderUnavailable(`pushed authorization request: ${failure.detail}`, failure.retryAfterS)
    throw new ProviderRejected(
      'authorization',
      failure.error,
      `pushed authorization request: ${failure.error} ${failure.description ?? ''}`,
    )
  }
}
