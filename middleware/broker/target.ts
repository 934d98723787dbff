import type { OAuthClient, ServiceSettings, TokenStrategy } from '../../config/types.ts'
import type { Provider } from '../provider/types.ts'
import type { LiveSession } from '../types.ts'
import type { BrokerOptions, Target } from './types.ts'

export type Found =
  { readonly kind: 'target'; readonly target: Target } | { readonly kind: 'none'; readonly reason: string }

/** What to ask, of whom and as whom, for a service; or why that cannot be. `sessions`: the provider of whoever asks. */
export function findTarget(
  o: BrokerOptions,
  name: string,
  sessions: Provider | undefined,
  session: LiveSession | undefined,
): Found {
  const settings = o.settings()
  const service = settings.services.get(name)
  if (service?.audience === undefined) return none('no audience is configured for the service')
  const client = service.client === undefined ? undefined : settings.clients.get(service.client)
  if (service.client !== undefined && client === undefined) return none('the client of the service is not configured')
  const strategy = chooseStrategy(service, session)
  // A machine token is of the client's own provider, whoever's session asks: no other may be shown its secret.
  const home = client === undefined ? undefined : providerOfClient(o, client)
  const asked = strategy === 'client_credentials' ? home : sessions
  if (asked === undefined) return none('the provider of the session or of the client is not configured')
  if (client !== undefined && asked !== home) return none('the client of the service is registered at another provider')
  if (o.providers.size > 1 && service.tokenEndpoint !== undefined && !isOf(asked, service.tokenEndpoint))
    return none('the token endpoint of the service is another provider’s')
  // R16: one client never holds both kinds of grant, so machine tokens never come from the login client.
  if (
    strategy === 'client_credentials' &&
    (client === undefined || client.clientId === asked.settings.client.clientId)
  ) {
    return none('client_credentials needs a client of its own')
  }
  // RFC 6749 §6: a refresh token is the client's it was given to; asked as another, invalid_grant would suspend the session.
  if (strategy === 'refresh' && client !== undefined) return none('a refresh token works for the login client alone')
  return { kind: 'target', target: { service, audience: service.audience, strategy, provider: asked, client } }
}

function providerOfClient(o: BrokerOptions, client: OAuthClient): Provider | undefined {
  const [first] = o.providers.values()
  return client.provider === undefined ? first : o.providers.get(client.provider)
}

/** Beside other providers, credentials go to the host of the issuer alone. */
function isOf(provider: Provider, endpoint: URL): boolean {
  return endpoint.host === provider.settings.issuer.host
}

/** Left out: `refresh` where the provider gave a refresh token, else the login's own token where its `aud` fits. */
function chooseStrategy(service: ServiceSettings, session: LiveSession | undefined): TokenStrategy {
  return service.strategy ?? (session?.hasRefreshToken === true ? 'refresh' : 'login_token')
}

function none(reason: string): Found {
  return { kind: 'none', reason }
}
