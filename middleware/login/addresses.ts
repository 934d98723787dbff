import type { Provider } from '../provider/types.ts'
import type { Generation } from '../types.ts'

/** Where people sign in and out who are at `origin`: the one login host where there is one, else where they are. */
export function loginOrigin(origin: string, now: Generation): string {
  return now.settings.server.loginOrigin ?? origin
}

/**
 * The sign-in for whoever is at `origin`: a path of that origin; with one login host, an absolute address there, whose
 * `return_to` leads back to where it was asked.
 */
export function loginUrl(origin: string, now: Generation, params: Readonly<Record<string, string>> = {}): string {
  const query = new URLSearchParams(params)
  const at = loginOrigin(origin, now)
  if (at !== origin) query.set('return_to', absolute(query.get('return_to') ?? '/', origin))
  const text = query.size === 0 ? '' : `?${query.toString()}`
  return `${at === origin ? '' : at}${now.settings.server.basePath}/login${text}`
}

/** A path of ours on `origin`, never resolved: `//host` would leave it. */
function absolute(pathOrUrl: string, origin: string): string {
  return pathOrUrl.startsWith('/') ? origin + pathOrUrl : pathOrUrl
}

/** Which provider a session came from, as a parameter of the sign-in; nothing where there is no choice, or it is gone. */
export function providerParam(now: Generation, name: string): { readonly provider?: string } {
  const { providers } = now.settings
  return providers.size > 1 && providers.has(name) ? { provider: name } : {}
}

export function callbackPath(now: Generation): string {
  return `${now.settings.server.basePath}/callback`
}

/** The callback of one provider alone. */
export function ownCallbackPath(name: string, now: Generation): string {
  return `${callbackPath(now)}/${name}`
}

/**
 * Where a provider sends people back to. Beside others, one that does not say who it is on the way back (RFC 9207) has a
 * callback of its own, so that one provider's answer cannot be passed off as another's (RFC 9700 §4.4.2.2). Throws
 * ProviderUnavailable before discovery.
 */
export async function callbackPathOf(provider: Provider, now: Generation): Promise<string> {
  const shared = now.settings.providers.size === 1 || (await provider.announcesIss())
  return shared ? callbackPath(now) : ownCallbackPath(provider.settings.name, now)
}
