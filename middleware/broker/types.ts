import type { OAuthClient, ProviderSettings, ServiceSettings, Settings, TokenStrategy } from '../../config/types.ts'
import type { Provider } from '../provider/types.ts'
import type { Claims, Clock, Emit, EndReason, Leases, SessionId, SessionStore, TokenVault } from '../types.ts'

export interface BrokerOptions {
  /** Of the current generation: read anew for every question. */
  readonly settings: () => Settings
  readonly providers: ReadonlyMap<string, Provider>
  readonly sessions: SessionStore
  readonly vault: TokenVault
  readonly leases: Leases
  readonly clock: Clock
  readonly emit: Emit
  readonly random: (bytes: number) => Uint8Array
  /** Ends sessions with all that belongs to it (login/end.ts). */
  readonly end: (ids: readonly SessionId[], reason: EndReason) => Promise<void>
  /** How many exchanged tokens of machine callers are kept; 5000 where left out. */
  readonly mostBearers?: number
  /** `auth.require` again, after each refresh that brings claims. False ends the session. */
  readonly authorizeSignIn?: (claims: Claims, provider: ProviderSettings) => boolean
}

/** One service as it is to be asked for: looked up once a question, so that a reload in between changes nothing. */
export interface Target {
  readonly service: ServiceSettings
  readonly audience: string
  readonly strategy: TokenStrategy
  readonly provider: Provider
  /** undefined: the login client. */
  readonly client: OAuthClient | undefined
}
