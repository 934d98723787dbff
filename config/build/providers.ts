import { methodOf, pkcs8 } from '../check/clients.ts'
import type { CheckContext } from '../check/context.ts'
import { DEFAULT_SCOPES, providersOf } from '../check/providers.ts'
import type { PlacedProvider } from '../check/providers.ts'
import type { DraftClient } from '../schema/schema.ts'
import { secret } from '../secret.ts'
import type { ClientAuth, NativeGrant, OAuthClient, ProviderSettings } from '../types.ts'

type Source = Pick<CheckContext, 'settings' | 'readFile'>

/** What the checks have made sure of. Missing here is a bug of ours, not the operator's. */
export function sure<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a checked setting is missing')
  return value
}

/** One provider or several, the first being the default. */
export function buildProviders(c: Source): ReadonlyMap<string, ProviderSettings> {
  return new Map(providersOf(c.settings).map((p) => [p.name, buildProvider(c, p)]))
}

function buildProvider(c: Source, { name, provider: p }: PlacedProvider): ProviderSettings {
  const issuer = sure(p.issuer)
  return {
    name,
    displayName: p.display_name ?? issuer.hostname,
    issuer,
    client: buildClient(c, p),
    oauthScopes: [...new Set(p.oauth_scopes ?? DEFAULT_SCOPES)],
    extraParams: p.extra_params ?? {},
    userinfo: p.userinfo ?? 'auto',
    require: {
      emailDomains: p.require?.email_domains ?? [],
      groups: p.require?.groups ?? [],
      claims: p.require?.claims ?? {},
    },
    logoutHint: p.logout_hint ?? 'none',
    nativeGrants: buildGrants(p.native_grants ?? {}),
  }
}

function buildGrants(
  grants: NonNullable<PlacedProvider['provider']['native_grants']>,
): ReadonlyMap<string, NativeGrant> {
  return new Map(
    Object.entries(grants).map(([name, g]) => [
      name,
      {
        name,
        grantType: sure(g.grant_type),
        parameters: sure(g.parameters),
        ...(g.identifier === undefined ? {} : { identifier: g.identifier }),
      },
    ]),
  )
}

/** A client's id and how it authenticates; files are read here, once. */
export function buildClient(c: Source, client: DraftClient): OAuthClient {
  return { clientId: sure(client.client_id), auth: buildAuth(c, client) }
}

function buildAuth(c: Source, client: DraftClient): ClientAuth {
  const kind = sure(methodOf(client))
  switch (kind) {
    case 'client_secret_basic':
    case 'client_secret_post':
      return { kind, secret: sure(client.client_secret) }
    case 'private_key_jwt':
      return {
        kind,
        key: secret(sure(pkcs8(c, sure(client.private_key).reveal()))),
        ...(client.private_key_alg === undefined ? {} : { alg: client.private_key_alg }),
        ...(client.private_key_kid === undefined ? {} : { kid: client.private_key_kid }),
      }
    case 'tls_client_auth': {
      const tls = sure(client.tls_client)
      const read = (path: string | undefined): string => sure(c.readFile(sure(path)))
      return {
        kind,
        cert: read(tls.cert),
        key: secret(read(tls.key)),
        ...(tls.ca === undefined ? {} : { ca: read(tls.ca) }),
      }
    }
    case 'none':
      return { kind }
  }
}
