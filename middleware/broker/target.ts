import type { ServiceSettings, TokenStrategy } from '../../config/types.ts'
import type { Provider } from '../provider/types.ts'
import type { LiveSession } from '../types.ts'
import type { BrokerOptions, Target } from './types.ts'

export type Found =
  { readonly kind: 'target'; readonly target: Target } | { readonly kind: 'none'; readonly reason: string }

/** What to ask, of whom and as whom, for a service; or why that cannot be. */
export function findTarget(
  o: BrokerOptions,
  name: string,
  provider: Provider | undefined,
  session: LiveSession | undefined,
): Found {
  const settings = o.settings()
  const service = settings.services.get(name)
  if (service?.audience === undefined) return none('no audience is configured for the service')
  if (provider === undefined) return none('the provider of the session is no longer configured')
  const client = service.client === undefined ? undefined : settings.clients.get(service.client)
  if (service.client !== undefined && client === undefined) return none('the client of the service is not configured')
  const strategy = chooseStrategy(service, session)
  // R16: one client never holds both kinds of grant, so machine tokens never come from the login client.
  if (
    strategy === 'client_credentials' &&
    (client === undefined || client.clientId === provider.settings.client.clientId)
  ) {
    return none('client_credentials needs a client of its own')
  }
  // RFC 6749 §6: a refresh token is the client's it was given to; asked as another, invalid_grant would suspend the session.
  if (strategy === 'refresh' && client !== undefined) return none('a refresh token works for the login client alone')
  return { kind: 'target', target: { service, audience: service.audience, strategy, provider, client } }
}

/** Left out: `refresh` where the provider gave a refresh token, else the login's own token where its `aud` fits. */
function chooseStrategy(service: ServiceSettings, session: LiveSession | undefined): TokenStrategy {
  return service.strategy ?? (session?.hasRefreshToken === true ? 'refresh' : 'login_token')
}

function none(reason: string): Found {
  return { kind: 'none', reason }
}
