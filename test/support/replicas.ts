import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { freePort, start, startTraefik, until, type Running, type Traefik } from '../../demo/launcher/index.ts'
import { send } from './client.ts'

const CLI = join(import.meta.dirname, '..', '..', 'cli.ts')

type Yaml = Record<string, unknown>

/** Processes of the service, a provider that is discovered and nothing else, an upstream, and room for a Traefik before them. */
export interface Replicas {
  readonly upstream: Server
  readonly upstreamPort: number
  readonly dir: string
  /** Writes `<dir>/<name>/settings.yaml` and starts a process on it; resolves when it is ready. */
  start(name: string, server: Yaml, more?: Yaml): Promise<Running>
  /** A process that is to fail at its start: what it said, and its exit code. */
  fails(name: string, server: Yaml, more?: Yaml): Promise<{ readonly code: string; readonly said: string }>
  traefik(dynamic: Yaml, port: number, more?: Yaml): Promise<Traefik>
  stop(): Promise<void>
}

export async function startReplicas(
  routes: readonly Yaml[],
  services: (port: number) => Yaml = () => ({}),
): Promise<Replicas> {
  const dir = mkdtempSync(join(tmpdir(), 'bff-replicas-'))
  const provider = await serving((req, res) => {
    const issuer = `http://${req.headers.host ?? ''}`
    res.setHeader('content-type', 'application/json').end(
      JSON.stringify({
        issuer,
        authorization_endpoint: `${issuer}/a`,
        token_endpoint: `${issuer}/t`,
        jwks_uri: `${issuer}/k`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
      }),
    )
  })
  const upstream = await serving((req, res) => {
    req.resume()
    req.once('end', () => res.end('upstream'))
  })
  const started: { stop(): Promise<void> }[] = []
  const write = (name: string, server: Yaml, more: Yaml): string => {
    const at = mkdtempSync(join(dir, `${name}-`))
    writeFileSync(
      join(at, 'settings.yaml'),
      stringify({
        server: { public_url: 'http://localhost:8000', trusted_proxies: ['127.0.0.1/32'], ...server },
        auth: { issuer: `http://127.0.0.1:${portOf(provider)}`, client_id: 'bff', client_secret: 'x' },
        session: { secret: 'demo-only-session-secret-0123456789abcdef', store: 'sqlite::memory:' },
        ...more,
      }),
    )
    writeFileSync(join(at, 'routes.yaml'), stringify({ services: services(portOf(upstream)), routes }))
    return at
  }
  return {
    upstream,
    upstreamPort: portOf(upstream),
    dir,
    start: async (name, server, more = {}) => {
      const lines: string[] = []
      const running = start(process.execPath, [CLI, 'serve', '--config', write(name, server, more)], {
        onLine: (l) => lines.push(l),
      })
      started.push(running)
      await until(`${name} ready`, async () => lines.some((l) => l.includes('traefik-bff ready')), { running })
      return running
    },
    fails: async (name, server, more = {}) => {
      const running = start(process.execPath, [CLI, 'serve', '--config', write(name, server, more)])
      started.push(running)
      return { code: await running.exited, said: running.output() }
    },
    traefik: async (dynamic, port, more = {}) => {
      const traefik = await startTraefik({
        static: stringify({
          entryPoints: { web: { address: `127.0.0.1:${port}` } },
          providers: { file: { directory: '{dynamic}', watch: true } },
          global: { checkNewVersion: false, sendAnonymousUsage: false },
          ...more,
        }),
        dynamic: { 'bff.yaml': stringify(dynamic) },
        port,
      })
      started.push(traefik)
      return traefik
    },
    stop: async () => {
      for (const one of started.reverse()) await one.stop()
      for (const server of [provider, upstream]) {
        server.closeAllConnections()
        server.close()
      }
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Header mode: every request to the entry point is checked at `address`, then goes to the upstream. */
export function headerMode(address: string, upstreamPort: number, more: Yaml = {}): Yaml {
  return {
    http: {
      middlewares: {
        'bff-auth': { forwardAuth: { address, trustForwardHeader: false, maxResponseBodySize: 16_384, ...more } },
      },
      routers: { app: { rule: 'PathPrefix(`/`)', entryPoints: ['web'], middlewares: ['bff-auth'], service: 'app' } },
      services: { app: { loadBalancer: { servers: [{ url: `http://127.0.0.1:${upstreamPort}` }] } } },
    },
  }
}

export interface Load {
  /** Answers so far, by status; 0 for a connection that broke. */
  readonly statuses: ReadonlyMap<number, number>
  /** Resolves when so many more have come. */
  more(count: number): Promise<void>
  /** Ends it; resolves with the answers that were not the wanted status. */
  stop(): Promise<Readonly<Record<string, number>>>
}

/** So many clients, each asking again as soon as it was answered, on kept connections. */
export function startLoad(
  url: string,
  o: { readonly clients?: number; readonly method?: string; readonly body?: string; readonly want?: number } = {},
): Load {
  const clients = o.clients ?? 32
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  const statuses = new Map<number, number>()
  const waiting = new Set<() => void>()
  let total = 0
  let ended = false
  const count = (status: number): void => {
    total += 1
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    for (const f of [...waiting]) f()
  }
  const once = (): Promise<number> =>
    new Promise((resolve) => {
      const req = request(url, { agent, method: o.method ?? 'GET', headers: { host: 'localhost:8000' } }, (res) => {
        res.resume()
        res.once('close', () => resolve(res.statusCode ?? 0))
      })
      req.once('error', () => resolve(0))
      req.end(o.body)
    })
  const all = Array.from({ length: clients }, async () => {
    while (!ended) count(await once())
  })
  return {
    statuses,
    more: (wanted) =>
      new Promise((resolve) => {
        const at = total + wanted
        const look = (): void => {
          if (total < at) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
    stop: async () => {
      ended = true
      await Promise.all(all)
      agent.destroy()
      return Object.fromEntries([...statuses].filter(([status]) => status !== (o.want ?? 200)))
    },
  }
}

/** One request through Traefik, with the public host. */
export function through(
  port: number,
  path: string,
  headers: Record<string, string | string[]> = {},
): Promise<Response> {
  return send(`http://127.0.0.1:${port}${path}`, { headers: { host: 'localhost:8000', ...headers } })
}

export { freePort }

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

async function serving(answer: Parameters<typeof createServer>[1]): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 120_000 }, answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}
