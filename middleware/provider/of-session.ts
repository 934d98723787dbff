import type { SessionRecord } from '../types.ts'
import type { Provider } from './types.ts'

/**
 * The provider that a session came from, as it is configured now; undefined where it is gone. A name that a reload gave to
 * another issuer is another provider: it must not be sent the old one's tokens.
 */
export function providerOfSession(
  providers: ReadonlyMap<string, Provider>,
  { provider: name, issuer }: Pick<SessionRecord, 'provider' | 'issuer'>,
): Provider | undefined {
  const provider = providers.get(name)
  if (provider === undefined || provider.issuer() === issuer) return provider
  // Before discovery the issuer is known as it was configured, perhaps with a slash more: its host must do.
  if (!provider.state().discovered)
    return URL.parse(issuer)?.host === provider.settings.issuer.host ? provider : undefined
  // Entra ID's metadata writes `{tenantid}` where a token has the tenant's own.
  const [before = '', after] = provider.issuer().split('{tenantid}')
  return after !== undefined && issuer.startsWith(before) && issuer.endsWith(after) ? provider : undefined
}
