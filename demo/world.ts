import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { startApi, type Api } from './apis/api.ts'
import {
  BILLING_AUDIENCE,
  clientsFor,
  ORDERS_AUDIENCE,
  RESOURCES,
  routesFor,
  settingsFor,
  traefikDynamic,
  traefikStatic,
  type Ports,
} from './config.ts'
import {
  answers,
  freePort,
  start,
  startRedis,
  startTraefik,
  until,
  type Redis,
  type Running,
  type Traefik,
} from './launcher/index.ts'
import type { DemoProvider } from './provider/provider.ts'
import { quietly } from './quiet.ts'
import { startSpa } from './spa/server.ts'

export interface WorldOptions {
  /** Traefik's port; the provider has the next one. 0: free ones. */
  readonly port?: number
  readonly store?: 'sqlite' | 'redis'
  readonly accessTokenTtlS?: number
  /** Changes to what an operator would write. */
  readonly settings?: (s: Record<string, unknown>) => void
  readonly routes?: (r: Record<string, unknown>) => void
  readonly dynamic?: Parameters<typeof traefikDynamic>[1]
  readonly static?: Parameters<typeof traefikStatic>[1]
  /** Hosts whose redirect URIs are registered at the provider; `localhost` where left out. */
  readonly registeredHosts?: readonly string[]
  /** Resources that the provider knows; the demo's where left out. */
  readonly resources?: ReadonlyMap<string, string>
}

export interface World {
  readonly origin: string
  readonly adminUrl: string
  readonly issuer: string
  readonly ports: Ports
  readonly dir: string
  readonly provider: DemoProvider
  readonly orders: Api
  readonly billing: Api
  readonly traefik: Traefik
  readonly redis: Redis | undefined
  /** The service's log lines, parsed. */
  readonly logs: readonly Record<string, unknown>[]
  /** Traefik's access log, line by line. */
  readonly accessLog: readonly string[]
  waitForLog(wanted: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>
  readonly service: () => Running
  /** Ends the service (SIGTERM) and starts it again on the same config and store. */
  restartService(): Promise<void>
  writeConfig(change: Pick<WorldOptions, 'settings' | 'routes'>): Promise<void>
  stop(): Promise<void>
}

/** Starts everything, each part ready before the next; what was started ends in reverse, also when a later part fails. */
export async function startWorld(o: WorldOptions = {}): Promise<World> {
  const ends: (() => Promise<void>)[] = []
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end().catch(() => undefined)
  }
  try {
    return await build(o, ends, stop)
  } catch (e) {
    await stop()
    throw e
  }
}

async function build(o: WorldOptions, ends: (() => Promise<void>)[], stop: () => Promise<void>): Promise<World> {
  const own = <T>(thing: T, end: (t: T) => Promise<void>): T => {
    ends.push(() => end(thing))
    return thing
  }
  const traefikPort = o.port === undefined || o.port === 0 ? await freePort() : o.port
  const providerPort = o.port === undefined || o.port === 0 ? await freePort() : o.port + 1
  const issuer = `http://localhost:${providerPort}`
  const dir = own(await mkdtemp(join(tmpdir(), 'bff-demo-')), (d) => rm(d, { recursive: true, force: true }))
  const redis = o.store === 'redis' ? own(await startRedis(), (r) => r.stop()) : undefined
  // It warns at its very import, in the middle of what a person reads.
  const { startDemoProvider } = await quietly(() => import('./provider/provider.ts'))
  const provider = own(
    await startDemoProvider({
      port: providerPort,
      issuer,
      clients: clientsFor(traefikPort, o.registeredHosts),
      resources: o.resources ?? RESOURCES,
      accessTokenTtlS: o.accessTokenTtlS ?? 300,
    }),
    (p) => p.close(),
  )
  const orders = own(
    await startApi({ name: 'orders', audience: ORDERS_AUDIENCE, issuer, port: await freePort() }),
    (a) => a.close(),
  )
  const billing = own(
    await startApi({ name: 'billing', audience: BILLING_AUDIENCE, issuer, port: await freePort() }),
    (a) => a.close(),
  )
  const spa = own(await startSpa(), (x) => x.close())
  const ports: Ports = {
    traefik: traefikPort,
    provider: providerPort,
    service: await freePort(),
    admin: await freePort(),
    spa: spa.port,
    orders: orders.port,
    billing: billing.port,
  }
  const store = redis?.url ?? `sqlite:${join(dir, 'data', 'sessions.db')}`
  const writeConfig = async (change: Pick<WorldOptions, 'settings' | 'routes'>): Promise<void> => {
    const settings = settingsFor(ports, store)
    const routes = routesFor(ports)
    change.settings?.(settings)
    change.routes?.(routes)
    await writeFile(join(dir, 'settings.yaml'), stringify(settings), { mode: 0o600 })
    await writeFile(join(dir, 'routes.yaml'), stringify(routes), { mode: 0o600 })
  }
  await writeConfig(o)
  const { logs, take, waitForLog } = logCollector()
  const startService = async (): Promise<Running> => {
    const running = start(
      process.execPath,
      [join(import.meta.dirname, '..', 'bin', 'traefik-bff.js'), 'serve', '--config', dir],
      {
        onLine: take,
      },
    )
    await until(
      'the service',
      async () => (await answers(ports.service)) && (await isOk(`http://127.0.0.1:${ports.admin}/ready`)),
      { running },
    )
    return running
  }
  let service = await startService()
  ends.push(() => service.stop())
  const accessLog: string[] = []
  const traefik = own(
    await startTraefik({
      static: traefikStatic(ports, o.static),
      dynamic: { 'bff.yaml': traefikDynamic(ports, o.dynamic) },
      port: traefikPort,
      onLine: (l) => accessLog.push(l),
    }),
    (t) => t.stop(),
  )
  const origin = `http://localhost:${traefikPort}`
  await until('Traefik with its routers', () => isOk(`http://127.0.0.1:${traefikPort}/auth/health`), {
    running: traefik,
  })
  return {
    origin,
    adminUrl: `http://127.0.0.1:${ports.admin}`,
    issuer,
    ports,
    dir,
    provider,
    orders,
    billing,
    traefik,
    redis,
    logs,
    accessLog,
    waitForLog,
    service: () => service,
    restartService: async () => {
      await service.stop()
      service = await startService()
    },
    writeConfig,
    stop,
  }
}

function logCollector(): {
  logs: Record<string, unknown>[]
  take: (line: string) => void
  waitForLog: World['waitForLog']
} {
  const logs: Record<string, unknown>[] = []
  const waiting = new Set<() => void>()
  const take = (line: string): void => {
    if (line === '') return
    try {
      logs.push(JSON.parse(line) as Record<string, unknown>)
    } catch {
      logs.push({ msg: line, level: 'raw' })
    }
    if (logs.length > 5000) logs.shift()
    for (const f of [...waiting]) f()
  }
  const waitForLog: World['waitForLog'] = (wanted) =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = logs.find(wanted)
        if (found === undefined) return
        waiting.delete(look)
        clearTimeout(timer)
        resolve(found)
      }
      const timer = setTimeout(
        () =>
          reject(
            new Error(
              `no such log line among:\n${logs
                .slice(-30)
                .map((l) => JSON.stringify(l))
                .join('\n')}`,
            ),
          ),
        15_000,
      )
      waiting.add(look)
      look()
    })
  return { logs, take, waitForLog }
}

async function isOk(url: string): Promise<boolean> {
  const res = await fetch(url, { signal: AbortSignal.timeout(2000) })
  await res.arrayBuffer()
  return res.ok
}
