/**
 * The seam of the proxy: it is told where a request goes and with what, and never finds out why. Whoever composes the
 * application makes `decide` from the one decision (middleware/decide) and the proxy's mouth.
 */
import type { IncomingMessage } from 'node:http'
import type {
  Answer,
  Clock,
  Emit,
  EpochMs,
  ErrorInfo,
  Maybe,
  ServiceToken,
  SessionId,
  SessionStore,
  TokenId,
} from '../middleware/types.ts'

export type Headers = readonly (readonly [name: string, value: string])[]

/** Where one request goes. */
export interface UpstreamTarget {
  /** `services.<name>.base_url`; its own path is part of what `path` begins with. */
  readonly base: URL
  /** From {@link buildUpstreamPath}: begins with `/`, written as it is. */
  readonly path: string
  /** As it came, without the `?`; empty where there is none. */
  readonly query: string
  /** The route's `path` and `upstream_path` as configured: a `Location` goes back along them. */
  readonly publicPath: string
  readonly upstreamPath: string
}

/** Who the upstream is told that the request came from: from configured peers or our own socket, never the client's word. */
export interface Forwarded {
  readonly for: string
  readonly proto: 'http' | 'https'
  /** The public host as the client named it, port included. */
  readonly host: string
}

export interface Forward {
  readonly kind: 'forward'
  readonly target: UpstreamTarget
  readonly forwarded: Forwarded
  /** Set after everything of the client's under our names is gone: identity, `Authorization`, correlation id. */
  readonly set: Headers
  /** Whether a client's header of this (lower-case) name must not pass: identity headers and their aliases. */
  removeNames(name: string): boolean
  /** The `Cookie` header for the upstream; empty: none. */
  readonly cookies: string
  /** A public route: the client's own `Authorization` passes. False everywhere else, with or without a token of ours. */
  readonly passAuthorization: boolean
  /** From the whole request sent to the response's head; for a WebSocket, to the 101. Undefined: 60 s. */
  readonly timeoutMs: number | undefined
  /** What went into `Authorization`: a 401 in spite of it is asked about once more. */
  readonly token: ServiceToken | undefined
  /** Wall-clock time at which a stream that this request opens must end. */
  readonly openUntil: EpochMs | undefined
  /**
   * Asked at `openUntil`: another request may have moved the session's idle time. Answers the new end; undefined, a time
   * already past or an error end the stream. An open stream itself counts as no activity.
   */
  recheck?(): Maybe<EpochMs | undefined>
  readonly sessionId: SessionId | undefined
  readonly websocketMaxAgeMs?: number | undefined
  readonly routeId: string
  readonly service: string | undefined
  readonly correlationId: string
}

export type ProxyVerdict = Forward | { readonly kind: 'answer'; readonly answer: Answer }

export interface ProxyDeps {
  /**
   * The decision for a request. `again` names the token an upstream has just rejected: another one is wanted. Its target is
   * only looked at the first time.
   */
  decide(req: IncomingMessage, again?: TokenId): Maybe<ProxyVerdict>
  /** Our own no, as a page or problem+json, with `X-BFF-Error`. */
  errorAnswer(code: ErrorInfo['code'], status: number, req: IncomingMessage): Answer
  /** Told of every session that ends, here or in another replica. */
  readonly onEnded: SessionStore['onEnded']
  /** Ends may have been missed: what is open is judged anew. */
  readonly onGap?: SessionStore['onGap']
  readonly emit: Emit
  readonly clock: Clock
  /** `session.cookie_name`: an upstream must not set it. */
  readonly cookieName: string
  readonly limits?: Partial<ProxyLimits>
}

export interface ProxyLimits {
  /** Connections to one upstream; further requests wait for one of them. WebSockets are not counted. */
  readonly maxSocketsPerUpstream: number
  /** How long a client may take nothing of what waits for it, before it is cut. Each holds about 0.3 MB. */
  readonly stallTimeoutMs: number
  /** Clients that take nothing: over this the longest-standing is cut at once. */
  readonly maxStalled: number
}

export const DEFAULT_LIMITS: ProxyLimits = { maxSocketsPerUpstream: 256, stallTimeoutMs: 120_000, maxStalled: 1_000 }

export const DEFAULT_TIMEOUT_MS = 60_000

/** What is open now. */
export interface ProxyStats {
  readonly requests: number
  readonly eventStreams: number
  readonly webSockets: number
  readonly stalled: number
}
