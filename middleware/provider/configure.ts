import * as client from 'openid-client'
import type { OAuthClient } from '../../config/types.ts'
import type { ProviderOptions } from './types.ts'

/** Config admits http on loopback only; then the endpoints may be http too, else never. */
function insecure(o: ProviderOptions): boolean {
  return o.settings.issuer.protocol === 'http:'
}

/** What the provider says of itself (OpenID Connect Discovery 1.0 §4). */
export async function discover(
  o: ProviderOptions,
  wire: client.CustomFetch,
  timeoutMs: number,
): Promise<client.ServerMetadata> {
  const found = await client.discovery(o.settings.issuer, o.settings.client.clientId, undefined, client.None(), {
    [client.customFetch]: wire,
    timeout: timeoutMs / 1000,
    // Deprecated in the library only to make it stand out; the protocol of the issuer decides.
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    execute: insecure(o) ? [client.allowInsecureRequests] : [],
  })
  const md = { ...found.serverMetadata() }
  if (o.keysOnly === true) {
    if (md.jwks_uri === undefined) throw new Error('the metadata lacks jwks_uri')
  } else if (md.jwks_uri === undefined || md.authorization_endpoint === undefined || md.token_endpoint === undefined) {
    throw new Error('the metadata lacks authorization_endpoint, token_endpoint or jwks_uri')
  }
  // jose does not ask for TLS itself.
  if (!insecure(o) && new URL(md.jwks_uri ?? '').protocol !== 'https:') throw new Error('jwks_uri is not https')
  return md
}

/** One call's configuration of openid-client. */
export function configure(
  o: ProviderOptions,
  md: client.ServerMetadata,
  c: OAuthClient,
  auth: client.ClientAuth,
  wire: client.CustomFetch,
  tokenEndpoint: URL | undefined,
  timeoutMs: number,
): client.Configuration {
  const server = tokenEndpoint === undefined ? md : withTokenEndpoint(md, tokenEndpoint)
  const config = new client.Configuration(
    server,
    c.clientId,
    {
      use_mtls_endpoint_aliases: c.auth.kind === 'tls_client_auth',
      // The library reads Date itself; the clock that was passed in is the one that counts.
      [client.clockSkew]: Math.round((o.clock.wallMs() - Date.now()) / 1000),
    },
    auth,
  )
  config[client.customFetch] = wire
  config.timeout = timeoutMs / 1000
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  if (insecure(o)) client.allowInsecureRequests(config)
  return config
}

function withTokenEndpoint(md: client.ServerMetadata, endpoint: URL): client.ServerMetadata {
  const { mtls_endpoint_aliases: _, ...rest } = md
  return { ...rest, token_endpoint: endpoint.href }
}
