import { randomBytes } from 'node:crypto'
import { secret } from '../../config/secret.ts'
import type { ClientAuth, ProviderSettings } from '../../config/types.ts'
import { systemClock } from '../../middleware/clock.ts'
import type { ProviderOptions } from '../../middleware/provider/types.ts'
import type { BffEvent } from '../../middleware/types.ts'

export const REDIRECT_URI = 'http://app.localhost:8000/auth/callback'

export function providerSettings(
  issuer: string,
  more: Partial<ProviderSettings> & { readonly auth?: ClientAuth } = {},
): ProviderSettings {
  const { auth, ...rest } = more
  return {
    name: 'default',
    displayName: 'Test',
    issuer: new URL(issuer),
    client: {
      clientId: 'bff-server',
      auth: auth ?? { kind: 'client_secret_basic', secret: secret('a-client-secret-with-%-and-:') },
    },
    oauthScopes: ['openid', 'profile', 'email', 'application.all', 'offline_access'],
    extraParams: {},
    userinfo: 'auto',
    require: { emailDomains: [], groups: [], claims: {} },
    logoutHint: 'none',
    nativeGrants: new Map(),
    ...rest,
  }
}

export const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))

export function options(
  settings: ProviderSettings,
  more: Partial<ProviderOptions> = {},
): ProviderOptions & { readonly events: BffEvent[] } {
  const events: BffEvent[] = []
  return { settings, clock: systemClock, emit: (e) => events.push(e), random, timeoutMs: 2_000, events, ...more }
}
