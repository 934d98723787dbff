/**
 * Composition root. `open()` makes what lives long (stores, listeners, telemetry); `compose()` makes a Generation of the
 * config and what hangs on it, which a request keeps from beginning to end, so that a reload is a swap.
 */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ListenAddress, Settings } from './config/types.ts'
import { compose, type Composed, type LongLived } from './compose.ts'
import { createProxy, type Proxy } from './proxy/proxy.ts'
import { writeAnswerRaw } from './proxy/write-answer.ts'
import { systemClock } from './middleware/clock.ts'
import { ready, health } from './middleware/endpoints/health.ts'
import { json } from './middleware/endpoints/session.ts'
import { createEnder } from './middleware/login/end.ts'
import { createRateLimiter } from './middleware/login/rate-limit.ts'
import { rawFromHttp1, writeHttp1 } from './middleware/mouths/http1.ts'
import { verify } from './middleware/mouths/verify.ts'
import { createSessionWriter } from './middleware/login/session-writer.ts'
import { deriveKeys } from './middleware/session/keys.ts'
import { openStores } from './middleware/session/open-stores.ts'
import type { Telemetry } from './middleware/telemetry/telemetry.ts'
import type { Answer, Clock } from './middleware/types.ts'

export interface App {
  /** `name=host:port` of each listener, as bound. */
  readonly listeners: readonly string[]
  /** Swaps in another reading of the config. Keys that need a restart keep their old value; they are returned. */
  reload(next: Settings): readonly string[]
  /** Not ready, no new connections, what is in hand is finished and stored, then everything is closed. */
  stop(): Promise<void>
}

export interface AppOptions {
  readonly settings: Settings
  readonly telemetry: Telemetry
  readonly clock?: Clock
}

/** How long requests in hand may take to finish at a stop. */
const DRAIN_MS = 25_000

/** Opens everything and listens. Throws where a port is taken or the store's file cannot be opened; never waits for the provider. */
export async function openApp(o: AppOptions): Promise<App> {
  const { settings, telemetry } = o
  const clock = o.clock ?? systemClock
  const random = (bytes: number): Uint8Array => randomBytes(bytes)
  const stores = await openStores({ settings: settings.session, clock, emit: telemetry.emit, random })
  let current: Composed
  const ender = createEnder({
    sessions: stores.sessions,
    vault: stores.vault,
    emit: telemetry.emit,
    provider: (name) => current.providers.get(name),
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
  const proxy = createProxy({
    decide: (req, again) => current.verdict(req, again),
    errorAnswer: (code, status, req) => current.proxyErrors(code, status, req),
    onEnded: (f) => stores.sessions.onEnded(f),
    emit: telemetry.emit,
    clock,
    cookieName: settings.session.cookieName,
  })
  const main = createServer({ ...SERVER_LIMITS, shouldUpgradeCallback: isWebSocket }, (req, res) =>
    serveMain(req, res, current, proxy),
  )
  main.on('upgrade', (req, socket, head) => {
    // What is ours is never an upstream's, and switches to nothing.
    if (isEndpoint(pathOf(req), current)) refuseUpgrade(socket, current)
    else proxy.handleUpgrade(req, socket, head)
  })
  const admin =
    settings.server.adminListen === undefined
      ? undefined
      : createServer(SERVER_LIMITS, (req, res) => void serveAdmin(req, res, current, long, () => draining))
  const bound: string[] = []
  try {
    bound.push(`main=${await listen(main, settings.server.listen)}`)
    if (admin !== undefined && settings.server.adminListen !== undefined)
      bound.push(`admin=${await listen(admin, settings.server.adminListen)}`)
  } catch (e) {
    main.close()
    proxy.close()
    current.close()
    await stores.close()
    throw e
  }
  return {
    listeners: bound,
    reload: (next) => {
      const before = current
      current = compose(before.generation.n + 1, keepLongLived(before.generation.settings, next), long, before)
      telemetry.setLevel(next.log.level)
      return restartKeys(before.generation.settings, next)
    },
    stop: async () => {
      draining = true
      telemetry.emit({ name: 'draining' })
      const closing = closeServer(main, clock)
      proxy.drain()
      await closing
      proxy.close()
      await current.broker.drain()
      await ender.drain()
      current.close()
      if (admin !== undefined) await closeServer(admin, clock)
      await stores.close()
      telemetry.emit({ name: 'stopped' })
      telemetry.flush()
    },
  }
}

/** Over 16 kB of headers Node says 431 to that request alone; a client that sends slowly holds nothing for long. */
const SERVER_LIMITS = { maxHeaderSize: 16_384, headersTimeout: 15_000, requestTimeout: 0, keepAliveTimeout: 120_000 }

/** Other protocols (h2c) are not switched to: such a request is one like any other (CVE-2026-88008). */
function isWebSocket(req: IncomingMessage): boolean {
  return req.method === 'GET' && req.headers.upgrade?.toLowerCase() === 'websocket'
}

function serveMain(req: IncomingMessage, res: ServerResponse, now: Composed, proxy: Proxy): void {
  const path = pathOf(req)
  if (now.verifyPaths.has(path)) {
    serveVerify(req, res, now)
    return
  }
  if (isEndpoint(path, now)) {
    now.express(req, res)
    return
  }
  proxy.handleRequest(req, res)
}

function pathOf(req: IncomingMessage): string {
  const url = req.url ?? '/'
  const mark = url.indexOf('?')
  return mark === -1 ? url : url.slice(0, mark)
}

function isEndpoint(path: string, now: Composed): boolean {
  return path === '/api/auth/session' || path.startsWith(`${now.generation.settings.server.basePath}/`)
}

function refuseUpgrade(socket: Duplex, now: Composed): void {
  socket.on('error', () => socket.destroy())
  const asker = { wants: 'upgrade', acceptLanguage: '', correlationId: '' } as const
  writeAnswerRaw(socket, now.verifyDeps.errorAnswer({ code: 'NO_ROUTE', status: 404 }, asker))
}

function serveVerify(req: IncomingMessage, res: ServerResponse, now: Composed): void {
  const head = req.method === 'HEAD'
  const failed = (e: unknown): void => {
    now.verifyDeps.emit({
      name: 'bug',
      fields: { where: 'verify', error: e instanceof Error ? (e.stack ?? e.message) : 'unknown' },
    })
    writeHttp1(
      res,
      now.verifyDeps.errorAnswer({ code: 'INTERNAL_ERROR' }, { wants: 'fetch', acceptLanguage: '', correlationId: '' }),
      head,
    )
  }
  try {
    const answer = verify(rawFromHttp1(req), now.verifyDeps)
    if (answer instanceof Promise) answer.then((a) => writeHttp1(res, a, head)).catch(failed)
    else writeHttp1(res, answer, head)
  } catch (e) {
    failed(e)
  }
}

async function serveAdmin(
  req: IncomingMessage,
  res: ServerResponse,
  now: Composed,
  long: LongLived,
  isDraining: () => boolean,
): Promise<void> {
  const head = req.method === 'HEAD'
  // `//` and the like are no URL to a parser: a rejection that nobody takes would end the process.
  const url = URL.parse(`http://admin.invalid${req.url ?? '/'}`)
  try {
    const answer =
      url?.host === 'admin.invalid'
        ? await adminAnswer(req.method ?? 'GET', url, now, long, isDraining)
        : json(400, { error: 'bad request' })
    writeHttp1(res, answer, head)
  } catch (e) {
    long.telemetry.emit({
      name: 'bug',
      fields: { where: 'admin', error: e instanceof Error ? (e.stack ?? e.message) : 'unknown' },
    })
    if (res.headersSent) res.destroy()
    else writeHttp1(res, json(500, { error: 'internal error' }), head)
  }
}

async function adminAnswer(
  method: string,
  url: URL,
  now: Composed,
  long: LongLived,
  isDraining: () => boolean,
): Promise<Answer> {
  const { metrics } = long.telemetry
  if (method !== 'GET' && method !== 'HEAD') return json(405, { error: 'method not allowed' }, [['Allow', 'GET, HEAD']])
  switch (url.pathname) {
    case '/health':
      return health()
    case '/ready':
      return ready(url.searchParams.get('scope'), {
        sessions: long.sessions,
        providers: now.providers,
        isDraining,
        faults: long.telemetry.faults,
        setStoreUp: metrics.setStoreUp,
        setProviderUp: metrics.setProviderUp,
      })
    case '/metrics': {
      await ready(null, {
        sessions: long.sessions,
        providers: now.providers,
        isDraining,
        faults: long.telemetry.faults,
        setStoreUp: metrics.setStoreUp,
        setProviderUp: metrics.setProviderUp,
      })
      return {
        status: 200,
        headers: [
          ['Content-Type', metrics.contentType],
          ['Cache-Control', 'no-store'],
        ],
        body: await metrics.text(),
      }
    }
    default:
      return json(404, { error: 'not found', endpoints: ['/health', '/ready', '/ready?scope=local', '/metrics'] })
  }
}

async function listen(server: Server, at: ListenAddress): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(at.port, at.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { address, port, family } = server.address() as AddressInfo
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
}

/** Checks in hand finish; connections that hang are cut when their time is over. */
async function closeServer(server: Server, clock: Clock): Promise<void> {
  const over = new AbortController()
  const closed = new Promise<void>((resolve) => server.close(() => resolve())).then(() => over.abort())
  // A connection that falls idle only now would be kept for the next request, which never comes.
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  await Promise.race([closed, clock.sleep(DRAIN_MS, over.signal)])
  clearInterval(sweep)
  server.closeAllConnections()
}

/** Keys whose change wants a restart: sockets, stores and keys are opened once. */
function restartKeys(before: Settings, next: Settings): string[] {
  const pick = (s: Settings): Record<string, unknown> => ({
    'server.listen': s.server.listen,
    'server.verify_listen': s.server.verifyListen,
    'server.admin_listen': s.server.adminListen,
    'session.store': s.session.store.reveal(),
    'session.secret': s.session.secrets.map((x) => x.reveal()),
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
