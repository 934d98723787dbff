import type { Settings } from './config/types.ts'
import { originText } from './config/values/url.ts'
import { createBroker } from './middleware/broker/broker.ts'
import { createGeneration } from './middleware/decide/generation.ts'
import { jwks } from './middleware/endpoints/jwks.ts'
import { createBrowserEndpoints, type BrowserEndpoints } from './middleware/endpoints/browser.ts'
import type { WriteSession } from './middleware/endpoints/express-app.ts'
import type { AssertionKey } from './middleware/identity/assertion-keys.ts'
import { createAssertion } from './middleware/identity/assertion.ts'
import { createIdentity } from './middleware/identity/identity.ts'
import { nextTurn } from './middleware/late.ts'
import { callbackPathOf } from './middleware/login/addresses.ts'
import type { LoginDeps } from './middleware/login/deps.ts'
import type { Ender } from './middleware/login/end.ts'
import { maySignIn } from './middleware/login/granted.ts'
import type { RateLimiter } from './middleware/login/rate-limit.ts'
import type { VerifyDeps } from './middleware/mouths/verify.ts'
import { createErrorAnswer } from './middleware/pages/errors.ts'
import { createSignOutPages } from './middleware/pages/sign-out.ts'
import { createBearers, type BearerRoom } from './middleware/provider/bearers.ts'
import { createProvider } from './middleware/provider/provider.ts'
import type { Provider } from './middleware/provider/types.ts'
import { createProxyErrors, createVerdict } from './proxy/verdict.ts'
import type { Telemetry } from './middleware/telemetry/telemetry.ts'
import type {
  Broker,
  Clock,
  CookieKeys,
  Decision,
  Emit,
  EpochMs,
  Generation,
  Leases,
  SessionId,
  SessionStore,
  TokenVault,
} from './middleware/types.ts'

/** What outlives a reload. */
export interface LongLived {
  readonly sessions: SessionStore
  readonly vault: TokenVault
  readonly leases: Leases
  readonly clock: Clock
  readonly random: (bytes: number) => Uint8Array
  readonly telemetry: Telemetry
  readonly ender: Ender
  readonly limiter: RateLimiter
  readonly codeWantsResource: Set<string>
  readonly unsupportedGrants: Map<string, number>
  readonly writeSession: WriteSession
  readonly attemptKeys: readonly Buffer[]
  readonly assertionKeys: readonly AssertionKey[]
  readonly cookies: CookieKeys
}

/** One Generation and everything that hangs on it. */
export interface Composed {
  readonly generation: Generation
  readonly providers: ReadonlyMap<string, Provider>
  readonly broker: Broker
  readonly bearers: BearerRoom
  readonly verifyPaths: ReadonlySet<string>
  readonly verifyDeps: VerifyDeps
  readonly endpoints: BrowserEndpoints
  readonly verdict: ReturnType<typeof createVerdict>
  readonly proxyErrors: ReturnType<typeof createProxyErrors>
  /** Asks the providers. Once somebody was told that the listeners are up: no check waits for it. Never rejects. */
  begin(): Promise<void>
  close(): void
}

/** Builds what one reading of the config needs. Providers whose settings did not change are taken over with their metadata. */
export function compose(n: number, settings: Settings, long: LongLived, before: Composed | undefined): Composed {
  const { emit } = long.telemetry
  const generation = createGeneration(n, settings)
  const providers = new Map(
    [...settings.providers].map(([name, s]) => [
      name,
      takeOver(before, name, settings) ?? createProvider({ settings: s, clock: long.clock, emit, random: long.random }),
    ]),
  )
  for (const [name, old] of before?.providers ?? []) if (providers.get(name) !== old) old.close()
  const bearers =
    takeOverBearers(before, settings) ??
    createBearers(settings.bearerIssuers, { clock: long.clock, random: long.random, emit: aboutBearers(emit) })
  if (before !== undefined && before.bearers !== bearers) before.bearers.close()
  const broker = createBroker({
    settings: () => settings,
    providers,
    sessions: long.sessions,
    vault: long.vault,
    leases: long.leases,
    clock: long.clock,
    emit,
    random: long.random,
    end: (ids, reason) => long.ender.end(ids, reason),
    authorizeSignIn: (claims, provider) => maySignIn(provider.require, claims, settings.identity.groupsClaim),
  })
  const errorAnswer = createErrorAnswer()
  const shared = {
    now: generation,
    sessions: long.sessions,
    broker,
    clock: long.clock,
    random: long.random,
    emit,
    cookies: long.cookies,
    errorAnswer,
  }
  const login: LoginDeps = {
    ...shared,
    providers,
    vault: long.vault,
    attemptKeys: long.attemptKeys,
    pages: createSignOutPages(),
    ender: long.ender,
    limiter: long.limiter,
    codeWantsResource: long.codeWantsResource,
    unsupportedGrants: long.unsupportedGrants,
  }
  const { enabled } = settings.identity.assertion
  const assertion = enabled ? createAssertion(settings, long.assertionKeys, () => long.clock.wallMs(), emit) : undefined
  const base = settings.server.basePath
  const verifyDeps: VerifyDeps = {
    ...shared,
    bearers,
    end: long.ender.endLater,
    touch: createTouch(long.sessions),
    identityHeaders: createIdentity(settings, emit, assertion),
    observe: (mouth, d, started) => observe(long, mouth, d, started),
  }
  const endpoints = createBrowserEndpoints(login, long.writeSession, enabled ? jwks(long.assertionKeys) : undefined)
  let closed = false
  return {
    generation,
    providers,
    broker,
    bearers,
    verifyPaths: new Set([`${base}/verify`, `${base}/forward`]),
    verifyDeps,
    verdict: createVerdict(verifyDeps),
    proxyErrors: createProxyErrors(verifyDeps),
    endpoints,
    begin: async () => {
      // A provider that cannot be asked says so when it is.
      for (const p of providers.values()) await p.load().catch(() => undefined)
      await nextTurn()
      if (closed) return
      // Asked for now, so that an outage shows at once; nobody waits for it.
      for (const [name, p] of providers) {
        const ready = p.ready()
        ready.catch(() => undefined)
        if (before?.providers.get(name) === p) continue
        // Where there is one provider its path is known, and whoever sets it up wants to know it before it answers.
        void (providers.size === 1 ? Promise.resolve() : ready)
          .then(() => tellRedirectUris(p, generation, emit))
          .catch(() => undefined)
      }
    },
    close: () => {
      closed = true
      for (const p of providers.values()) p.close()
      bearers.close()
    },
  }
}

/** Which addresses to register: with several providers, what each announces decides. */
async function tellRedirectUris(p: Provider, now: Generation, emit: Emit): Promise<void> {
  const { loginOrigin, publicUrls } = now.settings.server
  const origins = loginOrigin === undefined ? publicUrls.map((u) => originText(u)) : [loginOrigin]
  const path = await callbackPathOf(p, now)
  emit({ name: 'redirect_uris', fields: { provider: p.settings.name, register: origins.map((o) => o + path) } })
}

function takeOver(before: Composed | undefined, name: string, settings: Settings): Provider | undefined {
  const old = before?.generation.settings.providers.get(name)
  const next = settings.providers.get(name)
  return old !== undefined && JSON.stringify(comparable(old)) === JSON.stringify(comparable(next))
    ? before?.providers.get(name)
    : undefined
}

/** An issuer of machine callers that is away is no provider that is: sign-in does not hang on it. */
function aboutBearers(emit: Emit): Emit {
  return (e) => emit({ ...e, name: e.name.replace(/^provider_/, 'bearer_issuer_') })
}

/** With their keys, and what was verified by them. */
function takeOverBearers(before: Composed | undefined, settings: Settings): BearerRoom | undefined {
  const same = (s: Settings | undefined): string => JSON.stringify(comparable(s?.bearerIssuers))
  return before !== undefined && same(before.generation.settings) === same(settings) ? before.bearers : undefined
}

/** Secrets stringify as `[secret]`, so they are compared by what they say. */
function comparable(p: unknown): unknown {
  if (typeof p !== 'object' || p === null) return p
  if ('reveal' in p && typeof p.reveal === 'function') return (p.reveal as () => string)()
  if (p instanceof URL) return p.href
  if (p instanceof Map) return [...(p as Map<unknown, unknown>)].map(([k, v]) => [k, comparable(v)])
  if (Array.isArray(p)) return p.map(comparable)
  return Object.fromEntries(Object.entries(p).map(([k, v]) => [k, comparable(v)]))
}

/** A burst of requests moves the idle time once; a store that is down moves it at the next request. */
function createTouch(sessions: SessionStore): (id: SessionId, idleUntil: EpochMs) => void {
  const underWay = new Set<SessionId>()
  return (id, idleUntil) => {
    if (underWay.has(id)) return
    underWay.add(id)
    sessions
      .touch(id, idleUntil)
      .catch(() => undefined)
      .finally(() => underWay.delete(id))
  }
}

function observe(long: LongLived, mouth: string, d: Decision, startedMonoMs: number): void {
  const code = d.kind === 'allow' ? '' : d.code
  long.telemetry.metrics.decision(mouth, d.kind, code, (long.clock.monoMs() - startedMonoMs) / 1000)
}
