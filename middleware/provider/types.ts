import type { OAuthClient, ProviderSettings } from '../../config/types.ts'
import type { Claims, Clock, Emit, Secret } from '../types.ts'

/** `fetch`, narrowed to what openid-client and jose call it with. A test passes its own. */
export type Fetch = (url: string, init: FetchInit) => Promise<Response>
export interface FetchInit {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: unknown
  readonly redirect?: 'manual'
  readonly signal?: AbortSignal | null
}

export interface ProviderOptions {
  readonly settings: ProviderSettings
  readonly clock: Clock
  readonly emit: Emit
  readonly random: (bytes: number) => Uint8Array
  readonly fetch?: Fetch
  /** Nothing but the signing keys is wanted of it, so nothing else has to be in its metadata. */
  readonly keysOnly?: boolean
  /** One exchange with the provider, body included. Default 10 s (openid-client's own would be 30 s). */
  readonly timeoutMs?: number
}

export interface AuthorizationRequest {
  readonly redirectUri: string
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
  /** Default: the provider's `oauth_scopes`. */
  readonly scope?: readonly string[]
  /** RFC 8707, repeatable. */
  readonly resources?: readonly string[]
  /** prompt, acr_values, max_age, login_hint …: over `auth.extra_params`, never over the protocol's own parameters. */
  readonly extra?: Readonly<Record<string, string>>
}

export interface RedeemRequest {
  /** Built from `public_url` and the query that came; its origin and path are not used, `redirectUri` is. */
  readonly callbackUrl: URL
  readonly redirectUri: string
  readonly state: string
  readonly nonce: string
  readonly codeVerifier: string
  /** RFC 8707 §2.2: which of the resources asked for the first access token is for. */
  readonly resource?: string
  /** Dotted claim paths; with `userinfo: auto` userinfo is asked when the id token lacks one. */
  readonly wantedClaims?: readonly string[]
}

export interface LoginResult {
  readonly accessToken: Secret
  readonly tokenType: 'Bearer' | 'DPoP'
  readonly refreshToken?: Secret
  readonly idToken: Secret
  /** The id token's, verified. */
  readonly claims: Claims
  readonly userinfo?: Claims
  /** Userinfo's claims under the id token's: where both tell, the signed one counts. */
  readonly identity: Claims
  readonly issuer: string
  readonly sub: string
  readonly sid?: string
  readonly acr?: string
  /** Unix seconds: `auth_time`, else `iat`. */
  readonly authTimeS: number
  /** What the provider says it granted; what was asked for where it says nothing (RFC 6749 §5.1). */
  readonly scopes: readonly string[]
  readonly expiresInS?: number
}

/** Exactly what a token endpoint said. `down`: the provider's own trouble, which must never end a session (R19). */
export type TokenResponse =
  | TokenGranted
  /** 400 or 403 with an OAuth error body (RFC 6749 §5.2; Auth0 answers a dead refresh token with 403). */
  | { readonly kind: 'oauth_error'; readonly status: number; readonly error: string; readonly description?: string }
  | {
      readonly kind: 'down'
      readonly retryAfterS: number
      readonly detail: string
      /** Part of an outage that was told before: nobody wants a line for each request that meets it. */
      readonly known?: true
    }

export interface TokenGranted {
  readonly kind: 'ok'
  readonly accessToken: Secret
  /** `N_A`: what a token exchange gave is no access token (RFC 8693 §2.2.1). */
  readonly tokenType: 'Bearer' | 'DPoP' | 'N_A'
  readonly expiresInS?: number
  readonly refreshToken?: Secret
  /** undefined: the response does not tell. */
  readonly scopes?: readonly string[]
  readonly issuedTokenType?: string
  readonly identity?: IdTokenResult
}

/**
 * An id token that came with a refresh or an exchange. It is judged apart from the rest of the response, because a
 * rotated refresh token in the same response has to be stored whatever the id token is worth.
 */
export type IdTokenResult =
  | { readonly kind: 'verified'; readonly idToken: Secret; readonly claims: Claims }
  | { readonly kind: 'rejected'; readonly reason: string }
  /** Its keys cannot be reached now. */
  | { readonly kind: 'unverifiable'; readonly reason: string }

export type TokenParams = Readonly<Record<string, string | readonly string[] | undefined>> & {
  readonly grant_type: string
}

export interface TokenRequestOptions {
  /** Another client than the login client. */
  readonly client?: OAuthClient
  readonly tokenEndpoint?: URL
}

export interface EndSessionRequest {
  readonly postLogoutRedirectUri?: string
  readonly idTokenHint?: Secret
  readonly state?: string
  readonly logoutHint?: string
}

export interface LogoutToken {
  readonly issuer: string
  readonly jti: string
  readonly sub?: string
  readonly sid?: string
  /** Unix seconds; how long the `jti` has to be remembered. */
  readonly expS: number
}

export interface Introspection {
  readonly active: boolean
  readonly claims: Claims
}

export interface ProviderState {
  readonly up: boolean
  readonly discovered: boolean
  /** For the operator; holds no secret. */
  readonly detail?: string
}

/** One OpenID provider as this service sees it. Every call may throw ProviderUnavailable unless it says otherwise. */
export interface Provider {
  readonly settings: ProviderSettings
  /** Resolves once the metadata is there. The service starts without it; recovery goes on in the background. */
  ready(): Promise<void>
  /** Loads what speaks with it, ahead of whoever will. */
  load(): Promise<void>
  /** Never throws, never waits. */
  state(): ProviderState
  /** As the provider writes itself; before discovery, as configured. */
  issuer(): string
  authorizationUrl(r: AuthorizationRequest): Promise<URL>
  /** RFC 9207 §2.4: `foreign` and `missing` (where announced) must be refused before the code is redeemed. */
  checkCallbackIssuer(query: URLSearchParams): Promise<'ok' | 'missing' | 'foreign'>
  announcesIss(): Promise<boolean>
  /** Throws ProviderRejected with the provider's own error code, or a code of ours for a failed check. */
  redeem(r: RedeemRequest): Promise<LoginResult>
  /** Never throws. Runs through the circuit of that endpoint and client. */
  tokenRequest(params: TokenParams, options?: TokenRequestOptions): Promise<TokenResponse>
  /** RFC 7009. False where it was not done; never throws. */
  revoke(token: Secret, hint?: 'refresh_token' | 'access_token'): Promise<boolean>
  /** OpenID Connect RP-Initiated Logout 1.0; undefined where the provider has none or cannot be reached. Never throws. */
  endSessionUrl(r: EndSessionRequest): Promise<URL | undefined>
  /** RFC 7662; undefined where the provider has no such endpoint. */
  introspect(token: Secret, client?: OAuthClient): Promise<Introspection | undefined>
  /** undefined where the provider has no such endpoint. Throws ProviderRejected on another subject. */
  userinfo(accessToken: Secret, expectedSub: string | undefined): Promise<Claims | undefined>
  /** OpenID Connect Back-Channel Logout 1.0 §2.6, all but the replay of `jti`, which needs a store. Throws ProviderRejected. */
  verifyLogoutToken(jwt: string): Promise<LogoutToken>
  /** RFC 9068 as far as providers follow it: signature, iss, aud, exp. Throws ProviderRejected. */
  verifyAccessToken(jwt: string, audience: string): Promise<Claims>
  /** Stops background recovery. */
  close(): void
}
