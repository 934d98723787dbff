import type { BearerIssuer } from '../../config/types.ts'
import type { Claims } from '../types.ts'
import { createProvider } from './provider.ts'
import type { ProviderOptions } from './types.ts'

/** An issuer whose machines may call with their own JWT (`bearer_issuers`). */
export interface BearerVerifier {
  readonly name: string
  /** As the issuer writes itself; before discovery, as configured. */
  issuer(): string
  /** The token's claims. Throws ProviderRejected for a bad token, ProviderUnavailable while its keys cannot be had. */
  verify(jwt: string): Promise<Claims>
  close(): void
}

/** Discovery and keys of such an issuer, with no client of ours: nothing but metadata and keys is ever fetched from it. */
export function createBearerVerifier(
  o: Omit<ProviderOptions, 'settings'> & { readonly settings: BearerIssuer },
): BearerVerifier {
  const { name, issuer, audience } = o.settings
  const provider = createProvider({
    ...o,
    keysOnly: true,
    settings: {
      name,
      displayName: name,
      issuer,
      client: { clientId: audience, auth: { kind: 'none' } },
      oauthScopes: [],
      extraParams: {},
      userinfo: 'never',
      require: { emailDomains: [], groups: [], claims: {} },
      logoutHint: 'none',
      nativeGrants: new Map(),
    },
  })
  return {
    name,
    issuer: () => provider.issuer(),
    verify: (jwt) => provider.verifyAccessToken(jwt, audience),
    close: () => provider.close(),
  }
}
