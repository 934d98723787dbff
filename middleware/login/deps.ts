import type { Provider } from '../provider/types.ts'
import type {
  Answer,
  Asker,
  Broker,
  BrowserRequest,
  Clock,
  CookieKeys,
  Emit,
  ErrorAnswer,
  Generation,
  SessionId,
  SessionRecord,
  SessionStore,
  TokenVault,
} from '../types.ts'
import type { Ender } from './end.ts'
import type { RateLimiter } from './rate-limit.ts'

/** What signing in and out needs. */
export interface LoginDeps {
  readonly now: Generation
  /** By name; the first is the default. */
  readonly providers: ReadonlyMap<string, Provider>
  readonly sessions: SessionStore
  readonly vault: TokenVault
  readonly broker: Broker
  readonly clock: Clock
  readonly random: (bytes: number) => Uint8Array
  readonly emit: Emit
  readonly cookies: CookieKeys
  /** Keys of sign-in attempts, first makes. */
  readonly attemptKeys: readonly Buffer[]
  readonly errorAnswer: ErrorAnswer
  readonly pages: LoginPages
  readonly ender: Ender
  readonly limiter: RateLimiter
  /** Providers that want one `resource` with the code, learned from their `invalid_target`. */
  readonly codeWantsResource: Set<string>
  /** Extension grants that the provider does not know, with the monotonic time until which it is not asked again. */
  readonly unsupportedGrants: Map<string, number>
}

/** A session as its user may see it. */
export interface SessionRow {
  readonly id: string
  readonly current: boolean
  readonly created_at: string
  readonly last_seen_at: string
  readonly user_agent: string
  readonly ip: string
}

/** One provider on the page that lets people choose. */
export interface ProviderOption {
  readonly name: string
  readonly displayName: string
  readonly href: string
}

/** Pages that are no errors; pages/ implements them. */
export interface LoginPages {
  confirmLogout(
    p: {
      readonly action: string
      readonly csrfToken: string
      readonly who: string
      readonly formTargets: readonly string[]
    },
    asker: Asker,
  ): Answer
  /** Signed out here; the page goes on to the provider by itself. */
  leaving(p: { readonly url: string }, asker: Asker): Answer
  notSignedIn(p: { readonly loginUrl: string }, asker: Asker): Answer
  sessions(
    p: { readonly rows: readonly SessionRow[]; readonly base: string; readonly csrfToken: string },
    asker: Asker,
  ): Answer
  loggedOut(p: { readonly loginUrl: string; readonly homeUrl?: string }, asker: Asker): Answer
  chooseProvider(p: { readonly options: readonly ProviderOption[] }, asker: Asker): Answer
}

/** Saves the record through express-session and sets the cookie; the shell provides it. Throws StoreUnavailable. */
export type SaveRecord = (id: SessionId, record: SessionRecord) => Promise<void>

/** An answer with more headers. */
export function withHeaders(a: Answer, more: readonly (readonly [string, string])[]): Answer {
  return { ...a, headers: [...a.headers, ...more] }
}

export function setCookies(cookies: readonly string[]): (readonly [string, string])[] {
  return cookies.map((c) => ['Set-Cookie', c] as const)
}

/** A 200 for a program, with cookies; no cache keeps it. */
export function answerJson(value: unknown, cookies: readonly string[]): Answer {
  const body = JSON.stringify(value)
  return {
    status: 200,
    headers: [
      ['Content-Type', 'application/json'],
      ['Cache-Control', 'no-store'],
      ...setCookies(cookies),
      ['Content-Length', String(Buffer.byteLength(body))],
    ],
    body,
  }
}

/** A redirect that no cache keeps. 302 after GET, 303 after POST. */
export function redirect(location: string, cookies: readonly string[], status: 302 | 303 = 302): Answer {
  return {
    status,
    headers: [['Location', location], ['Cache-Control', 'no-store'], ...setCookies(cookies), ['Content-Length', '0']],
  }
}

/** Path of an endpoint of ours. */
export function endpointPath(now: Generation, name: string): string {
  return `${now.settings.server.basePath}/${name}`
}

/** The session cookies that came and bear our signature; several where somebody planted one. */
export function distinctCookies(r: BrowserRequest, now: Generation): readonly string[] {
  return [...new Set(r.cookies.get(now.settings.session.cookieName) ?? [])]
}
