/**
 * What the operator wrote, checked and typed. `config/load.ts` alone makes these from YAML; everything else only reads them.
 * Durations are milliseconds (`…Ms`) unless a name says seconds (`…S`).
 */

/** A value that cannot be logged or stringified by accident. */
export interface Secret {
  reveal(): string
  toJSON(): '[secret]'
  toString(): string
}

export type TokenStrategy = 'login_token' | 'refresh' | 'token_exchange' | 'jwt_bearer' | 'client_credentials'
export type AudienceParameter = 'audience' | 'resource' | 'both' | 'none'
export type CsrfMode = 'token' | 'origin' | 'strict' | 'off'
export type RouteAuth = 'session' | 'public' | 'deny'
export type EncodedChar = 'slash' | 'percent' | 'semicolon'

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** How a client authenticates at the token endpoint (OpenID Connect Core §9, RFC 8705). */
export type ClientAuth =
  | { readonly kind: 'client_secret_basic'; readonly secret: Secret }
  | { readonly kind: 'client_secret_post'; readonly secret: Secret }
  /** PEM (PKCS#8) of the signing key. */
  | { readonly kind: 'private_key_jwt'; readonly key: Secret; readonly alg?: string; readonly kid?: string }
  /** RFC 8705: PEM texts of certificate and key for the TLS handshake. */
  | { readonly kind: 'tls_client_auth'; readonly cert: string; readonly key: Secret; readonly ca?: string }
  | { readonly kind: 'none' }

export interface OAuthClient {
  readonly clientId: string
  readonly auth: ClientAuth
  /** Of a second client: key in `Settings.providers`, where it is registered; undefined: the first. */
  readonly provider?: string
}

export interface Require {
  /** Any of these. */
  readonly groups: readonly string[]
  /** Any of these: the service token's, or the bearer's. */
  readonly scopes: readonly string[]
  /** Dotted path -> wanted value, or a list of which one must hold. */
  readonly claims: Readonly<Record<string, unknown>>
  /** Any of these. */
  readonly acr: readonly string[]
  readonly maxAgeS?: number
  /** CIDR blocks, against the client's address. */
  readonly networks: readonly string[]
}

/** `auth.require`: who may sign in at all. */
export interface SignInRequire {
  readonly emailDomains: readonly string[]
  readonly groups: readonly string[]
  readonly claims: Readonly<Record<string, unknown>>
}

/** `auth.native_grants.<name>` (R17). */
export interface NativeGrant {
  readonly name: string
  readonly grantType: string
  readonly parameters: readonly string[]
  /** The parameter that names the user, for the rate limit per identifier. */
  readonly identifier?: string
}

export interface ProviderSettings {
  /** 'default' where there is one provider. */
  readonly name: string
  /** Text on the chooser page. */
  readonly displayName: string
  readonly issuer: URL
  readonly client: OAuthClient
  readonly oauthScopes: readonly string[]
  /** To the authorization endpoint. */
  readonly extraParams: Readonly<Record<string, string>>
  readonly userinfo: 'auto' | 'always' | 'never'
  readonly require: SignInRequire
  readonly logoutHint: 'none' | 'id_token'
  readonly nativeGrants: ReadonlyMap<string, NativeGrant>
}

export interface ServiceSettings {
  readonly name: string
  /** Undefined: a target_service without an audience: NO_TOKEN_AVAILABLE when called. */
  readonly audience?: string
  /** Alternatives: asked are those that login granted, one must come back. */
  readonly scopes: readonly string[]
  /** Undefined: `refresh` where the provider gave a refresh token, else `login_token` where its aud fits. */
  readonly strategy?: TokenStrategy
  readonly audienceParameter: AudienceParameter
  /** Name in `clients`, where another client than the login client asks. */
  readonly client?: string
  readonly tokenEndpoint?: URL
  readonly extraParams: Readonly<Record<string, string>>
  readonly trustOpaque: boolean
  readonly allowOtherAudiences: boolean
  readonly subjectTokenType?: string
  readonly requestedTokenType?: string
  /** More RFC 8707 resources / RFC 8693 audiences than `audience` itself. */
  readonly resources: readonly string[]
  readonly audiences: readonly string[]
  /** Only these identity headers go to this service; undefined: all of the preset. */
  readonly identityHeaders?: readonly string[]
  readonly require: Require
  readonly baseUrl?: URL
}

export interface Route {
  readonly id: string
  /** A public host, or `*.apps.example.com`: any one label. */
  readonly host?: string
  /** As written: exact, or ending in `/*`. */
  readonly path: string
  /** Empty: any. */
  readonly methods: readonly string[]
  readonly auth: RouteAuth
  readonly csrf: CsrfMode
  readonly require: Require
  readonly encoded: readonly EncodedChar[]
  /** Names in `bearer_issuers`. */
  readonly bearer: readonly string[]
  readonly service?: string
  readonly upstreamPath?: string
  readonly timeoutMs?: number
  readonly websocketMaxAgeMs?: number
}

export interface RateLimit {
  readonly count: number
  readonly perMs: number
}

export interface ServerSettings {
  /** As configured; `https://*.apps.example.com` keeps its star in `pattern`. */
  readonly publicUrls: readonly PublicUrl[]
  /** Origin where people sign in and out for all hosts, without a trailing slash; undefined: each on its own. */
  readonly loginOrigin?: string
  readonly listen: ListenAddress
  readonly verifyListen?: ListenAddress
  readonly verifyTls?: { readonly cert: string; readonly key: string; readonly clientCa?: string }
  /** About so long a connection to verify_listen lives. */
  readonly verifySessionAgeMs: number
  readonly adminListen?: ListenAddress
  readonly adminToken?: Secret
  /** After SIGTERM, how long at most new connections are still taken. */
  readonly drainDelayMs: number
  readonly trustedProxies: readonly string[]
  readonly clientIp: { readonly header: string; readonly hops: number }
  /** `/auth`: no trailing slash. */
  readonly basePath: string
  readonly corsOrigins: readonly string[]
}

export interface PublicUrl {
  readonly protocol: 'http:' | 'https:'
  /** Lower case, `*.` in front where it is a wildcard of one label; without port. */
  readonly hostname: string
  /** '' where it is the scheme's own. */
  readonly port: string
  readonly wildcard: boolean
}

export interface StoreTls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export interface SessionSettings {
  /** The first signs, all verify. */
  readonly secrets: readonly Secret[]
  /** As written: `sqlite:./data/sessions.db`, `sqlite::memory:`, `redis://…`. Holds a password: never log it. */
  readonly store: Secret
  /** TLS to Redis: absolute paths of PEM files, read again at each connection. */
  readonly storeTls?: StoreTls
  readonly keyPrefix: string
  /** Folder for what must outlive the store: when `sessions revoke --all` was last run. */
  readonly stateDir: string
  readonly cookieName: string
  readonly cookieDomain?: string
  readonly sameSite: 'lax' | 'strict' | 'none'
  readonly idleTimeoutMs: number
  readonly absoluteTimeoutMs: number
  readonly stallTimeoutMs: number
  readonly followIdToken: boolean
}

export interface TokenSettings {
  readonly audienceParameter: AudienceParameter
  readonly warmUp: 'login' | 'lazy'
  readonly deadlineMs: number
  readonly invalidGrantGraceMs: number
}

export type HeaderPreset = 'bff' | 'oauth2-proxy' | 'authelia' | 'traefik-hub'

export interface IdentitySettings {
  readonly preset: HeaderPreset
  /** Header name -> dotted path into the claims. */
  readonly map: Readonly<Record<string, string>>
  readonly user: 'sub' | 'preferred_username'
  /** Path to the user's groups: for headers, for the assertion and for `require.groups`. */
  readonly groupsClaim: string
  /** `claims`: paths of those that the assertion says beside who and when. */
  readonly assertion: { readonly enabled: boolean; readonly ttlMs: number; readonly claims: readonly string[] }
}

export interface BearerIssuer {
  readonly name: string
  readonly issuer: URL
  readonly audience: string
}

export interface Settings {
  readonly server: ServerSettings
  /** One provider is a map of one, from the start. The first is the default. */
  readonly providers: ReadonlyMap<string, ProviderSettings>
  readonly postLogoutRedirect: string
  /** `GET /auth/frontchannel-logout` is answered; off by default. */
  readonly frontchannelLogout?: boolean
  readonly session: SessionSettings
  readonly tokens: TokenSettings
  readonly services: ReadonlyMap<string, ServiceSettings>
  readonly clients: ReadonlyMap<string, OAuthClient>
  readonly identity: IdentitySettings
  readonly bearerIssuers: ReadonlyMap<string, BearerIssuer>
  readonly limits: {
    readonly login: RateLimit
    readonly callback: RateLimit
    readonly nativeGrant: RateLimit
    readonly backchannelLogout: RateLimit
  }
  readonly log: {
    readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
    readonly access: 'all' | 'errors' | 'off'
  }
  readonly routes: readonly Route[]
}

export type Severity = 'fault' | 'warning'

/** One line of `traefik-bff check`: `file:line: CODE message`, and how to mend it. */
export interface Finding {
  readonly severity: Severity
  readonly file: string
  readonly line: number
  /** UPPER_SNAKE, stable. */
  readonly code: string
  readonly message: string
  readonly mend?: string
}

export type LoadResult =
  | { readonly ok: true; readonly settings: Settings; readonly warnings: readonly Finding[] }
  | {
      readonly ok: false
      readonly faults: readonly Finding[]
      readonly warnings: readonly Finding[]
      readonly unreadable: boolean
    }
