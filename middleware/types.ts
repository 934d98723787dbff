/**
 * The seams of the middleware: every room speaks to the next through these, so that both stores, every mouth and a
 * passed-in clock fit. Brands keep handles, cookie secrets and keys apart; they cost nothing at run time.
 */
import type { EncodedChar, Route, Secret, Settings } from '../config/types.ts'

export type { Secret } from '../config/types.ts'

type Brand<T, B extends string> = T & { readonly __brand: B }
export type EpochMs = Brand<number, 'ms'>
/** The cookie's secret: 256 random bits, base64url. Never logged, never sent upstream. */
export type SessionId = Brand<string, 'id'>
/** What others may know of a session (`X-Session-ID`): derived one way from its id. */
export type Handle = Brand<string, 'handle'>
export type CanonicalPath = Brand<string, 'path'>
/** Names one received token, so that the proxy can say which one an upstream rejected. */
export type TokenId = Brand<string, 'token'>
/** Warm path: a value and no promise, so no gap in which a session could end. */
export type Maybe<T> = T | Promise<T>
export type Claims = Readonly<Record<string, unknown>>

export type Code =
  | 'NO_SESSION'
  | 'SESSION_EXPIRED'
  | 'STEP_UP_REQUIRED'
  | 'NO_TOKEN_AVAILABLE'
  | 'UPSTREAM_REJECTED_TOKEN'
  | 'NO_ROUTE'
  | 'FORBIDDEN'
  | 'CSRF_FAILED'
  | 'BAD_REQUEST'
  | 'RATE_LIMITED'
  | 'STORE_UNAVAILABLE'
  | 'PROVIDER_UNAVAILABLE'
  | 'UPSTREAM_UNAVAILABLE'

// --- A mouth: HTTP/1.1, an HTTP/2 stream and an 'upgrade' each make a RawRequest and write an Answer; nothing else knows them.

/** Codes of the sign-in pages: never a decision's. Provider errors keep their own name in capitals (R21). */
export type LoginCode =
  | 'LOGIN_UNKNOWN'
  | 'LOGIN_EXPIRED'
  | 'LOGIN_REPLAYED'
  | 'LOGOUT_STATE_MISMATCH'
  | 'LOGIN_ISSUER_MISMATCH'
  | 'LOGIN_FAILED'
  | 'LOGIN_NOT_ALLOWED'
  | 'INVALID_REQUEST'
  | 'UNAUTHORIZED_CLIENT'
  | 'ACCESS_DENIED'
  | 'UNSUPPORTED_RESPONSE_TYPE'
  | 'INVALID_SCOPE'
  | 'SERVER_ERROR'
  | 'TEMPORARILY_UNAVAILABLE'
  | 'INTERACTION_REQUIRED'
  | 'LOGIN_REQUIRED'
  | 'ACCOUNT_SELECTION_REQUIRED'
  | 'CONSENT_REQUIRED'
  | 'INVALID_REQUEST_URI'
  | 'INVALID_REQUEST_OBJECT'
  | 'REQUEST_NOT_SUPPORTED'
  | 'REQUEST_URI_NOT_SUPPORTED'
  | 'REGISTRATION_NOT_SUPPORTED'
  | 'UNSUPPORTED_GRANT_TYPE'
  | 'INVALID_TARGET'
  | 'PROVIDER_ERROR'
  | 'INTERNAL_ERROR'

export interface RawRequest {
  readonly method: string
  /** The request target as it stood on the line: path and query. */
  readonly target: string
  /** Every value of a header, by lower-case name, one entry a line as received; empty where there is none. */
  all(name: string): readonly string[]
  /** Every header name that came, lower case. */
  names(): Iterable<string>
  readonly peer: { readonly address: string; readonly certified: boolean; readonly tls: boolean }
}

export interface Answer {
  readonly status: number
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body?: string
}

/** How to say no to whoever asks: a page for a person, problem+json for a program. Implemented in pages/. */
export interface ErrorInfo {
  readonly code: Code | LoginCode
  /** Instead of the code's own. */
  readonly status?: number
  /** For people and programs alike; fixed text of ours, never a foreign string. */
  readonly detail?: string
  readonly retryAfterS?: number
  readonly loginUrl?: string
  readonly headers?: readonly (readonly [name: string, value: string])[]
  /** Who is signed in, for a page that offers to change that. */
  readonly who?: string
  /** Where "try again" leads. */
  readonly tryAgainUrl?: string
  /** Offers to clear what the browser holds and to sign in again. */
  readonly clearUrl?: string
  readonly signOutUrl?: string
}
export interface Asker {
  readonly wants: 'navigation' | 'fetch' | 'upgrade'
  readonly acceptLanguage: string
  readonly correlationId: string
}
export type ErrorAnswer = (e: ErrorInfo, asker: Asker) => Answer

/** A request to one of our own endpoints, free of Express. */
export interface BrowserRequest extends Asker {
  readonly method: string
  /** The configured origin it came to. */
  readonly origin: string
  readonly hostname: string
  readonly path: string
  readonly query: URLSearchParams
  readonly clientIp: string
  /** `clientIp` is a gateway's, which did not say for whom it asks. */
  readonly sharedAddress: boolean
  readonly userAgent: string
  /** Every value by cookie name, in order. */
  readonly cookies: ReadonlyMap<string, readonly string[]>
  readonly csrf: RequestFacts['csrf']
  /** Parsed body of a form or JSON post; strings only. */
  readonly body: ReadonlyMap<string, string>
  readonly contentType: string
}

export interface RequestFacts {
  readonly mouth: 'traefik' | 'proxy'
  readonly method: string
  /** One of our configured origins, without a trailing slash: `https://app.example.com`. */
  readonly origin: string
  readonly hostname: string
  readonly path: CanonicalPath
  /** As it came, without the `?`; empty where there is none. */
  readonly query: string
  readonly wants: 'navigation' | 'fetch' | 'upgrade'
  /** Page language asked for (Accept-Language), raw. */
  readonly acceptLanguage: string
  readonly clientIp: string
  /** A believed gateway did not say who its client is: `clientIp` is then the gateway's own. */
  readonly clientIpUnknown: boolean
  readonly correlationId: string
  /** Each value that came for the session cookie; two different ones are refused. */
  readonly cookies: readonly string[]
  /** The client's own Authorization, as it came. */
  readonly authorization: string | undefined
  readonly csrf: {
    readonly token: string | undefined
    readonly origin: string | undefined
    readonly site: string | undefined
    readonly mode: string | undefined
    readonly dest: string | undefined
  }
  /** CORS preflight: OPTIONS with Origin and Access-Control-Request-Method. */
  readonly preflight: boolean
  /** Encoded characters that only a route with `encoded:` takes. */
  readonly encoded: readonly EncodedChar[]
  /** What a preflight asks for. */
  readonly preflightMethod: string | undefined
  /** Methods that a header names and an upstream could take instead (`X-HTTP-Method-Override`), in upper case. */
  readonly overrides: readonly string[]
  /** The Cookie header without ours. */
  readonly cookiesForUpstream: string
  readonly pinned: string | undefined
  /** The proxy's second ask after an upstream's 401. */
  readonly again: { readonly rejected: TokenId } | undefined
}

// --- Decision

export type Decision = Allow | Login | Refuse | Unavailable

export interface Allow {
  readonly kind: 'allow'
  readonly principal: Principal
  readonly route: Route
  /** Headers for the upstream. */
  readonly set: readonly (readonly [name: string, value: string])[]
  readonly token: ServiceToken | undefined
  /** When a long stream that this decision opened must end (session end at the latest). */
  readonly openUntil: EpochMs | undefined
}
export interface Login {
  readonly kind: 'login'
  readonly code: Code
  readonly provider?: string
  readonly acrValues?: string
  readonly maxAgeS?: number
  readonly prompt?: 'login' | 'none'
}
export interface Refuse {
  readonly kind: 'refuse'
  readonly code: Code
  /** For the operator's log; never for the client. */
  readonly why?: string
  readonly detail?: string
  readonly wwwAuthenticate?: string
  readonly service?: string
  readonly route?: Route
  readonly principal?: Principal
  readonly setCookies?: readonly string[]
}
export interface Unavailable {
  readonly kind: 'unavailable'
  readonly code: 'STORE_UNAVAILABLE' | 'PROVIDER_UNAVAILABLE'
  readonly retryAfterS: number
}

/** What a flow carries from step to step. */
export interface Context {
  readonly facts: RequestFacts
  route?: Route
  principal?: Principal
  token?: ServiceToken
  /** The token had to be waited for: who asks is looked at again. */
  waited?: true
  result?: Allow
}
/** undefined: go on. The runner awaits only promises. */
export type Step = (c: Context, deps: DecideDeps) => Maybe<Decision | undefined>

export type Principal =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user'; readonly session: LiveSession }
  | {
      readonly kind: 'machine'
      readonly issuer: string
      readonly claims: Claims
      readonly token: Secret
      readonly expiresAt: EpochMs
    }

// --- Sessions. The record is written once at login (express-session); what changes is ours and versioned; both in one slot.

export interface SessionRecord {
  /** Version of the stored form (session/serialize.ts). */
  readonly v: number
  readonly handle: Handle
  /** Key in `Settings.providers`. */
  readonly provider: string
  readonly issuer: string
  readonly sub: string
  /** The provider's session id (OpenID Connect Front/Back-Channel Logout), where it gave one. */
  readonly sid?: string
  /** The public origin it was opened on. */
  readonly origin: string
  readonly createdAt: EpochMs
  readonly expiresAt: EpochMs
  readonly ip: string
  readonly userAgent: string
}

export interface SessionState {
  /** Version of the stored form, only where a newer release than this has written it. */
  readonly v?: number
  /** Claims for identity headers and rules: from the id token, userinfo, and each refresh that brings new ones. */
  readonly identity: Claims
  readonly authTime: EpochMs
  /** The same by our own clock, for `max_age`; undefined where the provider did not tell: then no `max_age` is met. */
  readonly signedInAt?: EpochMs
  readonly acr?: string
  /** Scopes that login granted. */
  readonly scopes: readonly string[]
  /** Set while invalid_grant suspends the session (R19): a refresh that succeeds clears it. */
  readonly suspendedUntil?: EpochMs
  /** Services whose last attempt failed: they drop out of `services_count`. */
  readonly failed: readonly string[]
}

export interface LiveSession {
  readonly id: SessionId
  readonly record: SessionRecord
  readonly state: SessionState
  /** Rises with every write of the state. */
  readonly version: number
  readonly idleUntil: EpochMs
  /** By slot: a service's name, or LOGIN_TOKEN for what the code brought. */
  readonly tokens: ReadonlyMap<string, ServiceToken>
  readonly hasRefreshToken: boolean
}

/** Slot of the access token that came with the login itself: subject of exchanges, source of `login_token`. */
export const LOGIN_TOKEN = '@login'

export type Write = 'done' | 'gone' | 'changed'

export interface ServiceToken {
  readonly id: TokenId
  /** Service name, or LOGIN_TOKEN. */
  readonly service: string
  readonly value: Secret
  readonly type: 'Bearer' | 'DPoP'
  /** As checked on arrival; empty for a trusted opaque token. */
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  /** When it came: `expires_in` counts from here. */
  readonly receivedAt: EpochMs
  readonly expiresAt: EpochMs | undefined
  /** Stored fields that a newer release wrote and this one does not know: they are written again with it. */
  readonly unknown?: Readonly<Record<string, unknown>>
}

/** The store does not answer, in time or at all. Never to be read as "there is no session". */
export class StoreUnavailable extends Error {
  readonly code = 'STORE_UNAVAILABLE'
  override readonly name = 'StoreUnavailable'
}

export type EndReason =
  | 'logout'
  | 'logout_everywhere'
  | 'replaced'
  | 'idle_timeout'
  | 'absolute_timeout'
  | 'backchannel_logout'
  | 'frontchannel_logout'
  | 'revoked'
  | 'invalid_grant'
  | 'not_allowed'

export interface NewSession {
  readonly record: SessionRecord
  readonly state: SessionState
  readonly refreshToken: Secret | undefined
  readonly idToken: Secret | undefined
  readonly tokens: readonly ServiceToken[]
}

/** Every call has a deadline and throws StoreUnavailable; it never answers "none" for a fault. */
export interface SessionStore {
  /** State, tokens and indexes. The record itself is express-session's, saved by `login/` after this; live is only what has both. */
  open(id: SessionId, s: NewSession): Promise<void>
  /**
   * A live record, whatever its timeouts say (decide/ judges those by the clock); undefined where there is none.
   * Synchronous where the answer is at hand (SQLite, or cached).
   */
  load(id: SessionId): Maybe<LiveSession | undefined>
  /** Why a session that load() does not find has ended, where that is still known. */
  endedReason(id: SessionId): Maybe<EndReason | undefined>
  /** Writes only over the version that was read. */
  update(id: SessionId, readVersion: number, next: SessionState): Promise<Write>
  /** Idle time moves on. Never creates; leaves version and state alone. */
  touch(id: SessionId, idleUntil: EpochMs): Promise<Write>
  /** Record, state, tokens, lease and indexes at once, then told to all replicas. Returns those that were there. */
  end(ids: readonly SessionId[], reason: EndReason): Promise<readonly SessionId[]>
  /**
   * Nothing created at or before this moment is live, on any replica, from now on: whatever a restored snapshot brings back.
   * It only rises. Throws StoreUnavailable; then nothing is revoked.
   */
  revokeAll(at: EpochMs): Promise<void>
  /** The moment of the last revokeAll; 0 for never. */
  revokedBefore(): EpochMs
  /** As load(), revoked or not: its refresh token must still be revoked at the provider when it ends. */
  loadToEnd(id: SessionId): Maybe<LiveSession | undefined>
  /** Every session that is stored, whether or not it can be opened. */
  ids(): AsyncIterable<SessionId>
  find(
    by:
      | { readonly issuer: string; readonly sub: string }
      | { readonly issuer: string; readonly sid: string }
      | { readonly handle: Handle },
  ): Promise<readonly LiveSession[]>
  /** Everything, a page at a time, for `traefik-bff sessions`. */
  list(): AsyncIterable<LiveSession>
  /** True the first time: logout token jti, login attempt. */
  once(key: string, ttlMs: number): Promise<boolean>
  /** Takes a `once` back: what it stood for did not happen. */
  forget(key: string): Promise<void>
  /** Remembers a text for all replicas, for so long; a later one replaces it. Not for secrets. */
  note(key: string, text: string, ttlMs: number): Promise<void>
  noted(key: string): Promise<string | undefined>
  /** Adds one to a counter that lives `windowMs`; answers its new value and what is left of the window. For rate limits. */
  count(key: string, windowMs: number): Promise<{ readonly count: number; readonly resetMs: number }>
  /** For live sockets and local flights. Returns how to stop listening. */
  onEnded(f: (id: SessionId, reason: EndReason) => void): () => void
  /** Ends may have been missed (the store was away): open sockets must be judged anew. Returns how to stop listening. */
  onGap(f: () => void): () => void
  /** Last known state, and a probe for /ready. Never throws. */
  health(): Promise<{ readonly up: boolean; readonly detail?: string; readonly warnings: readonly string[] }>
  close(): Promise<void>
}

/** AES-256-GCM; the associated data binds a ciphertext to its session and slot, so that none can be moved. */
export interface TokenVault {
  /** The refresh token with the fence it was written under. */
  refreshToken(id: SessionId): Promise<{ readonly token: Secret; readonly fence: number } | undefined>
  idToken(id: SessionId): Promise<Secret | undefined>
  /** A service's token. Only into a session that still exists. */
  keep(id: SessionId, token: ServiceToken): Promise<Write>
  /** Forget one slot (it failed its checks, or was rejected upstream). */
  drop(id: SessionId, slot: string): Promise<Write>
  /** Stores what the provider rotated to. 'changed' for any but the newest fence; never creates. */
  rotate(
    id: SessionId,
    next: { readonly refreshToken?: Secret; readonly idToken?: Secret; readonly tokens: readonly ServiceToken[] },
    fence: number,
  ): Promise<Write>
  /** Machine tokens, one per service for all users: shared by replicas through the store. */
  machineToken(service: string): Promise<ServiceToken | undefined>
  keepMachineToken(service: string, token: ServiceToken): Promise<void>
}

export interface Leases {
  /** undefined: somebody else held it for all of `waitMs`. Renewed while held; fences rise with every acquisition. */
  acquire(id: SessionId, ttlMs: number, waitMs: number): Promise<Lease | undefined>
  /** The same for something that is not a session's: machine tokens. */
  acquireShared(key: string, ttlMs: number, waitMs: number): Promise<Lease | undefined>
}
export interface Lease {
  readonly fence: number
  /** Aborts when the lease could not be renewed in time. */
  readonly lost: AbortSignal
  release(): Promise<void>
}

// --- Broker

export type Subject =
  | { readonly kind: 'session'; readonly session: LiveSession }
  | { readonly kind: 'bearer'; readonly token: Secret; readonly issuer: string }
  | { readonly kind: 'client' }

export type TokenAnswer =
  | { readonly kind: 'token'; readonly token: ServiceToken }
  /** No token for that service: NO_TOKEN_AVAILABLE. */
  | { readonly kind: 'none'; readonly reason: string }
  /** The session ended, or is suspended, meanwhile. */
  | { readonly kind: 'ended' }
  | { readonly kind: 'down'; readonly what: 'provider' | 'store'; readonly retryAfterS: number }

export interface Broker {
  /** Warm: a value, not a promise. `again`: the upstream rejected this one, get another. */
  token(
    subject: Subject,
    service: string,
    ask: { readonly rejected?: TokenId; readonly correlationId: string },
  ): Maybe<TokenAnswer>
  /** After login: tokens for all services of the session, never holding the login for long. Resolves with those mapped. */
  warmUp(session: LiveSession, correlationId: string): Promise<readonly string[]>
  /** Services whose token is held or not yet tried. */
  services(session: LiveSession): readonly string[]
  /** Waits for refreshes in flight to be stored; for shutdown. */
  drain(): Promise<void>
}

// --- What is passed in

/** Wall clock for expiry, monotonic for leases and deadlines. */
export interface Clock {
  wallMs(): EpochMs
  monoMs(): number
  sleep(ms: number, stop?: AbortSignal): Promise<void>
}

/** Log line, metric and audit line come from one event table (telemetry/events.ts). */
export interface BffEvent {
  readonly name: string
  readonly correlationId?: string
  readonly fields?: Claims
}
export type Emit = (e: BffEvent) => void

/** A reload makes a new Generation; a request keeps the one it began with. */
export interface Generation {
  readonly n: number
  /** The configured origin behind a Host header's value (lower case, port kept): undefined where it is not ours. */
  originOf(host: string): { readonly origin: string; readonly hostname: string } | undefined
  /** Whether a Host is a name of ours however it is spelt (case, port, trailing dot): for refusing, never for accepting. */
  looksPublic(host: string): boolean
  /** Whether an Origin header's value is one of our public origins. */
  isOurOrigin(origin: string): boolean
  /** Whether forwarded headers of this peer count. */
  isTrustedPeer(address: string): boolean
  readonly settings: Settings
  /** Which route a path is for. */
  match(f: Pick<RequestFacts, 'method' | 'hostname' | 'path'>): RouteMatch
}
export interface RouteMatch {
  readonly won: Route | undefined
  /** Why none has won although one has the path: a pin must not open what that one keeps shut. */
  readonly barred?: 'method' | 'case'
  /** What `{path}` stands for, raw. */
  readonly rest: string
  /** Less specific ones that would have matched too, for explain. */
  readonly over: readonly Route[]
}

export type BearerVerdict =
  | { readonly kind: 'machine'; readonly issuer: string; readonly claims: Claims; readonly expiresAt: EpochMs }
  /** For the operator; never a value out of the token. */
  | { readonly kind: 'rejected'; readonly reason: string }
  /** Its issuer's keys cannot be had, so nobody can tell. */
  | { readonly kind: 'down'; readonly retryAfterS: number }

/** Machine callers' own tokens (`bearer_issuers`). */
export interface Bearers {
  /** Judged by the named issuers alone. A value where the token was verified before. */
  verify(token: Secret, issuers: readonly string[]): Maybe<BearerVerdict>
}

/** Keys of the signed session cookie and of CSRF tokens; the first makes, all verify. */
export interface CookieKeys {
  readonly session: readonly string[]
  readonly csrf: readonly Buffer[]
}

/** Pure: the identity headers for one request, ready to be written. */
export type IdentityHeaders = (
  who: Principal,
  service: string | undefined,
  correlationId: string,
) => readonly (readonly [name: string, value: string])[]

export interface DecideDeps {
  readonly now: Generation
  readonly sessions: SessionStore
  readonly broker: Broker
  readonly bearers: Bearers
  readonly clock: Clock
  readonly emit: Emit
  readonly random: (bytes: number) => Uint8Array
  /** Ends sessions in the background: store, revocation, telling. Never throws. */
  readonly end: (ids: readonly SessionId[], reason: EndReason) => void
  /** Moves a session's idle time on, in the background, once for a burst of requests. Never throws. */
  readonly touch: (id: SessionId, idleUntil: EpochMs) => void
  readonly cookies: CookieKeys
  /** Headers for the upstream from who is asking; identity/ implements it. */
  readonly identityHeaders: IdentityHeaders
  readonly watch?: (step: string, c: Context) => void
}
