/**
 * Composition root. `open()` makes what lives long (stores, listeners, telemetry); `compose()` makes a Generation of the
 * config and what hangs on it, which a request keeps from beginning to end, so that a reload is a swap.
 */
import type { Settings } from './config/types.ts'
import { compose, type Composed, type LongLived } from './compose.ts'
import { openListeners, type Listeners } from './listeners/open.ts'
import { createLateProxy } from './proxy/late.ts'
import { systemClock } from './middleware/clock.ts'
import { nextTurn } from './middleware/late.ts'
import { createRandom } from './middleware/random.ts'
import { deriveAssertionKeys } from './middleware/identity/assertion-keys.ts'
import { createEnder } from './middleware/login/end.ts'
import { createRateLimiter } from './middleware/login/rate-limit.ts'
import { createSessionWriter } from './middleware/login/session-writer.ts'
import { providerOfSession } from './middleware/provider/of-session.ts'
import { deriveKeys } from './middleware/session/keys.ts'
import { openStores } from './middleware/session/open-stores.ts'
import type { Telemetry } from './middleware/telemetry/telemetry.ts'
import type { Clock } from './middleware/types.ts'

export interface App {
  /** `name=host:port` of each listener, as bound. */
  readonly listeners: readonly string[]
  /** Swaps in another reading of the config. Keys that need a restart keep their old value; they are returned. */
  reload(next: Settings): readonly string[]
  /**
   * Not ready, then no new connections, what is in hand is finished and stored, then everything is closed.
   */
  stop(how?: StopOptions): Promise<void>
}

export interface StopOptions {
  /** No waiting for balancers to notice (`server.drain_delay`): somebody stands at a terminal. */
  readonly atOnce?: boolean
  /** Aborts where what is in hand is to be cut. */
  readonly hurry?: AbortSignal
}

export interface AppOptions {
  readonly settings: Settings
  readonly telemetry: Telemetry
  readonly clock?: Clock
}

/** Opens everything and listens. Throws where a port is taken or the store's file cannot be opened; never waits for the provider. */
export async function openApp(o: AppOptions): Promise<App> {
  const { settings, telemetry } = o
  const clock = o.clock ?? systemClock
  const random = createRandom()
  const stores = await openStores({ settings: settings.session, clock, emit: telemetry.emit, random })
  let current: Composed
  const ender = createEnder({
    sessions: stores.sessions,
    vault: stores.vault,
    emit: telemetry.emit,
    provider: (record) => providerOfSession(current.providers, record),
  })
  const cookies = {
    session: deriveKeys(settings.session.secrets, 'session cookie').map((k) => k.toString('hex')),
    csrf: deriveKeys(settings.session.secrets, 'csrf'),
  }
  const long: LongLived = {
    ...stores,
    clock,
    random,
    telemetry,
    ender,
    limiter: createRateLimiter(clock),
    codeWantsResource: new Set(),
    unsupportedGrants: new Map(),
    assertionKeys: deriveAssertionKeys(settings.session.secrets),
    attemptKeys: deriveKeys(settings.session.secrets, 'login attempt'),
    cookies,
    writeSession: createSessionWriter({
      settings: settings.session,
      store: stores.expressStore,
      signingKeys: cookies.session,
    }),
  }
  current = compose(1, settings, long, undefined)
  let draining = false
  // The proxy's connections and streams outlive a reload; what it asks is always the newest generation's.
  const proxy = createLateProxy({
    decide: (req, again) => current.verdict(req, again),
    errorAnswer: (code, status, req) => current.proxyErrors(code, status, req),
    onEnded: (f) => stores.sessions.onEnded(f),
    onGap: (f) => stores.sessions.onGap(f),
    emit: telemetry.emit,
    clock,
    cookieName: settings.session.cookieName,
  })
  let listeners: Listeners
  try {
    listeners = await openListeners({
      server: settings.server,
      secrets: settings.session.secrets,
      current: () => current,
      long,
      proxy,
      isDraining: () => draining,
    })
  } catch (e) {
    proxy.close()
    current.close()
    await stores.close()
    throw e
  }
  // What no check waits for. One after another, each in a turn of its own: checks are answered in between.
  const beginRest = async (): Promise<void> => {
    const proxied = current.generation.settings.routes.some((r) => r.upstreamPath !== undefined)
    const parts = [
      () => current.begin(),
      () => current.endpoints.load(),
      ...(proxied ? [proxy.load] : []),
      telemetry.metrics.load,
    ]
    for (const load of parts) {
      await nextTurn()
      if (draining) return
      await load()
    }
  }
  // After whoever waits for the listeners was told.
  const begin = setImmediate(() => void beginRest())
  return {
    listeners: listeners.addresses,
    reload: (next) => {
      const before = current
      current = compose(before.generation.n + 1, keepLongLived(before.generation.settings, next), long, before)
      void beginRest()
      telemetry.setLevel(next.log.level)
      listeners.reload(next.server)
      return restartKeys(before.generation.settings, next)
    },
    stop: async (how = {}) => {
      const hurry = how.hurry ?? new AbortController().signal
      clearImmediate(begin)
      draining = true
      telemetry.emit({ name: 'draining' })
      const { drainDelayMs } = current.generation.settings.server
      await listeners.leave(how.atOnce === true ? 0 : drainDelayMs, hurry)
      proxy.drain()
      await listeners.finish(hurry)
      proxy.close()
      await Promise.race([Promise.all([current.broker.drain(), ender.drain()]), aborted(hurry)])
      current.close()
      await listeners.closeAdmin()
      await stores.close()
      telemetry.emit({ name: 'stopped' })
      telemetry.flush()
    },
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Keys whose change wants a restart: sockets, stores and keys are opened once. */
function restartKeys(before: Settings, next: Settings): string[] {
  const pick = (s: Settings): Record<string, unknown> => ({
    'server.listen': s.server.listen,
    'server.verify_listen': s.server.verifyListen,
    // Whether a client certificate is wanted; which CA counts is read again.
    'server.verify_tls.client_ca': s.server.verifyTls?.clientCa !== undefined,
    'server.verify_session_age': s.server.verifySessionAgeMs,
    'server.admin_listen': s.server.adminListen,
    'session.store': s.session.store.reveal(),
    'session.secret': s.session.secrets.map((x) => x.reveal()),
    'session.store_tls': s.session.storeTls,
    'session.key_prefix': s.session.keyPrefix,
    'session.state_dir': s.session.stateDir,
    'session.cookie_name': s.session.cookieName,
    'session.cookie_domain': s.session.cookieDomain,
    'session.same_site': s.session.sameSite,
    'session.stall_timeout': s.session.stallTimeoutMs,
  })
  const [a, b] = [pick(before), pick(next)]
  return Object.keys(a).filter((k) => JSON.stringify(a[k]) !== JSON.stringify(b[k]))
}

function keepLongLived(before: Settings, next: Settings): Settings {
  const old = before.server
  return {
    ...next,
    server: {
      ...next.server,
      listen: old.listen,
      ...(old.verifyListen === undefined ? {} : { verifyListen: old.verifyListen }),
      ...(old.adminListen === undefined ? {} : { adminListen: old.adminListen }),
    },
    session: {
      ...before.session,
      idleTimeoutMs: next.session.idleTimeoutMs,
      absoluteTimeoutMs: next.session.absoluteTimeoutMs,
      followIdToken: next.session.followIdToken,
    },
  }
}
