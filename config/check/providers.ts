import type { Place } from '../finding.ts'
import type { DraftProvider, DraftSettings } from '../schema/schema.ts'

export const DEFAULT_SCOPES = ['openid', 'profile', 'email'] as const

export interface PlacedProvider {
  readonly name: string
  readonly at: Place
  readonly provider: DraftProvider
}

/** One provider is a map of one. What a provider leaves out of its behaviour is `auth`'s; its client never is. */
export function providersOf(s: DraftSettings): readonly PlacedProvider[] {
  const { providers, ...auth } = s.auth
  if (providers === undefined) return [{ name: 'default', at: ['settings', 'auth'], provider: auth }]
  const { oauth_scopes, extra_params, userinfo, require, logout_hint, native_grants } = auth
  const shared = Object.entries({ oauth_scopes, extra_params, userinfo, require, logout_hint, native_grants })
  const given = Object.fromEntries(shared.filter(([, v]) => v !== undefined))
  return Object.entries(providers).map(([name, own]) => ({
    name,
    at: ['settings', 'auth', 'providers', name],
    provider: { ...given, ...own },
  }))
}
