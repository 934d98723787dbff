import { createConnection } from './connection.ts'
import type { Provider, ProviderOptions, ProviderState } from './types.ts'

/**
 * One OpenID provider. Nothing is fetched until something is asked; `ready()` begins discovery and from then on recovery
 * goes on in the background, so that the service starts, and comes back, whatever the provider does.
 * Emits `provider_up {provider, first?}` and `provider_down {provider, detail?}` when reachability changes, `userinfo_failed {provider}`.
 */
export function createProvider(o: ProviderOptions): Provider {
  let told: boolean | undefined
  const look = (): ProviderState => {
    const fault = c.metadata.fault()
    const discovered = c.metadata.current() !== undefined
    const open = c.circuit().isOpen()
    const detail = fault ?? (open ? 'the token endpoint is failing' : undefined)
    return { up: discovered && fault === undefined && !open, discovered, ...(detail === undefined ? {} : { detail }) }
  }
  const tell = (): void => {
    const now = look()
    // Time for a try is not yet an answer.
    const up = now.up && !c.circuit().isFailing()
    // Not asked yet is neither up nor down.
    if (up === told || (!up && now.detail === undefined)) return
    const first = told === undefined
    told = up
    o.emit({
      name: up ? 'provider_up' : 'provider_down',
      fields: {
        provider: o.settings.name,
        ...(up && first ? { first } : {}),
        ...(now.detail === undefined ? {} : { detail: now.detail }),
      },
    })
  }
  const c = createConnection(o, tell)
  const telling = async <T>(work: () => Promise<T>): Promise<T> => work().finally(tell)

  return {
    settings: o.settings,
    ready: async () => {
      await c.metadata.get()
    },
    load: async () => {
      await c.protocol()
    },
    state: () => {
      tell()
      return look()
    },
    issuer: () => c.metadata.current()?.issuer ?? o.settings.issuer.href,
    authorizationUrl: async (r) => (await c.protocol()).authorizationUrl(c, r),
    announcesIss: async () => (await c.metadata.get()).authorization_response_iss_parameter_supported === true,
    checkCallbackIssuer: async (query) => {
      const md = await c.metadata.get()
      const iss = query.getAll('iss')
      if (iss.length === 0) return md.authorization_response_iss_parameter_supported === true ? 'missing' : 'ok'
      return iss.length === 1 && iss[0] === md.issuer ? 'ok' : 'foreign'
    },
    redeem: (r) => telling(async () => (await c.protocol()).redeem(c, r)),
    tokenRequest: (params, options = {}) => telling(async () => (await c.protocol()).tokenRequest(c, params, options)),
    revoke: async (token, hint = 'refresh_token') => (await c.protocol()).revoke(c, token, hint),
    endSessionUrl: async (r) => (await c.protocol()).endSessionUrl(c, r),
    introspect: async (token, client) => (await c.protocol()).introspect(c, token, client),
    userinfo: async (token, sub) => (await c.protocol()).userinfo(c, token, sub),
    verifyLogoutToken: async (jwt) => (await c.protocol()).verifyLogoutToken(c, jwt),
    verifyAccessToken: async (jwt, audience) => (await c.protocol()).verifyAccessToken(c, jwt, audience),
    close: () => c.metadata.close(),
  }
}
