import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { stringify } from 'yaml'
import { openApp, type App } from '../../app.ts'
import { formatFinding, loadConfig } from '../../config/load.ts'
import { createTelemetry } from '../../middleware/telemetry/telemetry.ts'
import type { Clock } from '../../middleware/types.ts'
import { startRealProvider, type RealProvider } from '../provider/real-provider.ts'
import { Client, send } from './client.ts'

export const PUBLIC_HOST = 'localhost:8000'
export const ORIGIN = `http://${PUBLIC_HOST}`
export const ORDERS = 'https://analytics.example.com'
export const BILLING = 'https://crud.example.com'

type Yaml = Record<string, unknown>

export interface ServiceOptions {
  readonly settings?: (base: Yaml & Record<'server' | 'auth' | 'session' | 'tokens', Yaml>) => void
  readonly routes?: (base: { services: Yaml; routes: Yaml[] }) => void
  readonly store?: string
  readonly clock?: Clock
  /** Another provider than the real one: its issuer. */
  readonly issuer?: string
  readonly extendProvider?: Parameters<typeof startRealProvider>[0]['extend']
  readonly accessTokenTtlS?: number
  /** Public origins that the login client is registered for; default: `ORIGIN` and one more. */
  readonly registered?: readonly string[]
  /** Of the login client, where the public URL is off loopback and the demo's would be a fault. */
  readonly clientSecret?: string
  /** More grant types of the login client. */
  readonly grantTypes?: readonly string[]
}

export interface Service {
  readonly url: string
  readonly adminUrl: string
  readonly dir: string
  readonly app: App
  readonly provider: RealProvider
  /** Log lines, parsed, as they came. */
  readonly logs: readonly Record<string, unknown>[]
  waitForLog(wanted: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>
  client(host?: string): Client
  /** Signs a new client in, through the provider. */
  signIn(client?: Client, login?: string): Promise<Client>
  /** A ForwardAuth check as Traefik makes it. */
  verify(
    uri: string,
    o?: {
      readonly client?: Client
      readonly method?: string
      readonly headers?: Record<string, string>
      readonly pin?: string
      readonly path?: string
    },
  ): Promise<Response>
  rewrite(o: Pick<ServiceOptions, 'settings' | 'routes'>): void
  stop(): Promise<void>
}

/** The service itself, in this process, with a real provider; what Traefik would say is said by `verify`. */
export async function startService(o: ServiceOptions = {}): Promise<Service> {
  const dir = mkdtempSync(join(tmpdir(), 'bff-test-'))
  const provider = await startProviderFor(o)
  const issuer = o.issuer ?? provider.issuer
  writeConfig(dir, issuer, o)
  const loaded = loadConfig(dir, {})
  if (!loaded.ok) {
    await provider.close()
    throw new Error(loaded.faults.map(formatFinding).join('\n'))
  }
  const { logs, sink, waitForLog } = collectLogs()
  const app = await openApp({
    settings: loaded.settings,
    telemetry: createTelemetry('debug', sink),
    ...(o.clock === undefined ? {} : { clock: o.clock }),
  })
  const at = (name: string): string =>
    `http://${app.listeners.find((l) => l.startsWith(`${name}=`))?.slice(name.length + 1) ?? ''}`
  const url = at('main')
  const client = (host = PUBLIC_HOST): Client => new Client(url, host)
  return {
    url,
    adminUrl: at('admin'),
    dir,
    app,
    provider,
    logs,
    waitForLog,
    client,
    signIn: (c = client(), login = '/auth/login') => signIn(c, login, provider),
    verify: (uri, v = {}) => check(url, uri, v),
    rewrite: (change) => {
      writeConfig(dir, issuer, { ...o, ...change })
      const again = loadConfig(dir, {})
      if (!again.ok) throw new Error(again.faults.map(formatFinding).join('\n'))
      app.reload(again.settings)
    },
    stop: async () => {
      await app.stop({ atOnce: true })
      await provider.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** A real provider at which the service of `writeConfig` is registered. */
export function startProviderFor(
  o: Pick<ServiceOptions, 'accessTokenTtlS' | 'extendProvider' | 'grantTypes' | 'registered' | 'clientSecret'> & {
    readonly moreClients?: Parameters<typeof startRealProvider>[0]['clients']
  } = {},
): Promise<RealProvider> {
  return startRealProvider({
    useGrantedResource: false,
    par: false,
    ...(o.accessTokenTtlS === undefined ? {} : { accessTokenTtlS: o.accessTokenTtlS }),
    ...(o.extendProvider === undefined ? {} : { extend: o.extendProvider }),
    clients: [
      {
        client_id: 'bff-server',
        client_secret: o.clientSecret ?? 'demo-only-client-secret',
        redirect_uris: (o.registered ?? [ORIGIN, 'http://other.localhost:8000']).map((x) => `${x}/auth/callback`),
        post_logout_redirect_uris: (o.registered ?? [ORIGIN]).map((x) => `${x}/auth/logged-out`),
        grant_types: ['authorization_code', 'refresh_token', ...(o.grantTypes ?? [])],
      },
      {
        client_id: 'bff-m2m',
        client_secret: 'demo-only-machine-secret',
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
      },
      ...(o.moreClients ?? []),
    ],
  })
}

/** Walks a client through the provider and back. */
export async function signIn(client: Client, login: string, provider: RealProvider): Promise<Client> {
  const start = await client.page(login)
  const location = start.headers.get('location')
  if (start.status !== 302 || location === null)
    throw new Error(`login answered ${start.status}: ${await start.text()}`)
  const back = await provider.signIn(new URL(location))
  const done = await client.page(back.pathname + back.search)
  if (done.status !== 302) throw new Error(`callback answered ${done.status}: ${await done.text()}`)
  return client
}

function check(url: string, uri: string, v: NonNullable<Parameters<Service['verify']>[1]>): Promise<Response> {
  const path = uri.split('?')[0] ?? '/'
  const cookie = v.client?.header(path) ?? ''
  return send(`${url}${v.path ?? '/auth/verify'}${v.pin === undefined ? '' : `?service=${v.pin}`}`, {
    headers: {
      'x-forwarded-method': v.method ?? 'GET',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': PUBLIC_HOST,
      'x-forwarded-uri': uri,
      'x-forwarded-for': '203.0.113.7',
      ...(cookie === '' ? {} : { cookie }),
      ...v.headers,
    },
  })
}

function collectLogs(): { logs: Record<string, unknown>[]; sink: Writable; waitForLog: Service['waitForLog'] } {
  const logs: Record<string, unknown>[] = []
  const waiting = new Set<() => void>()
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      for (const line of chunk.toString().split('\n'))
        if (line !== '') logs.push(JSON.parse(line) as Record<string, unknown>)
      for (const f of [...waiting]) f()
      done()
    },
  })
  const waitForLog: Service['waitForLog'] = (wanted) =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = logs.find(wanted)
        if (found === undefined) return
        waiting.delete(look)
        clearTimeout(timer)
        resolve(found)
      }
      const timer = setTimeout(
        () => reject(new Error(`no such log line among:\n${logs.map((l) => JSON.stringify(l)).join('\n')}`)),
        10_000,
      )
      waiting.add(look)
      look()
    })
  return { logs, sink, waitForLog }
}

/** The service's two files, as `startService` has them. */
export function writeConfig(
  dir: string,
  issuer: string,
  o: Pick<ServiceOptions, 'settings' | 'routes' | 'store' | 'clientSecret'>,
): void {
  const settings = {
    server: {
      public_url: ORIGIN,
      listen: '127.0.0.1:0',
      admin_listen: '127.0.0.1:0',
      trusted_proxies: ['127.0.0.1/32'],
    } as Yaml,
    auth: {
      issuer,
      client_id: 'bff-server',
      client_secret: o.clientSecret ?? 'demo-only-client-secret',
      oauth_scopes: 'openid profile email offline_access api.read',
      extra_params: { prompt: 'consent' },
    } as Yaml,
    session: {
      secret: 'demo-only-session-secret-0123456789abcdef',
      store: o.store ?? 'sqlite::memory:',
      state_dir: join(dir, 'state'),
    } as Yaml,
    tokens: { audience_parameter: 'resource', warm_up: 'lazy' } as Yaml,
    service_tokens: {
      orders: { audience: ORDERS, scopes: ['api.read'] },
      billing: { audience: BILLING, scopes: ['api.read'] },
    },
  }
  o.settings?.(settings)
  const routes = {
    services: {} as Yaml,
    routes: [
      { id: 'orders', path: '/orders/*', target_service: 'orders' },
      { id: 'billing', path: '/billing/*', target_service: 'billing' },
      { id: 'reports', path: '/reports/*', target_service: 'reports' },
      { id: 'plain', path: '/plain/*' },
      { id: 'open', path: '/open/*', auth: 'public' },
      { id: 'shut', path: '/open/shut', auth: 'deny' },
    ] as Yaml[],
  }
  o.routes?.(routes)
  writeFileSync(join(dir, 'settings.yaml'), stringify(settings))
  writeFileSync(join(dir, 'routes.yaml'), stringify(routes))
}
