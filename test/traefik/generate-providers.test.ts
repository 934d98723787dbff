import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { freePort, startTraefik, until, type Traefik } from '../../demo/launcher/index.ts'
import { startDockerApi } from '../support/docker-api.ts'
import { startKubernetesApi, type KubernetesObject } from '../support/kubernetes-api.ts'

const run = promisify(execFile)
const CLI = join(import.meta.dirname, '..', '..', 'cli.ts')

const SETTINGS = {
  server: {
    public_urls: ['https://app.example.com', 'https://*.apps.example.com'],
    listen: '0.0.0.0:4181',
    trusted_proxies: ['10.0.0.2/32'],
  },
  auth: { issuer: 'https://idp.example.com', client_id: 'bff', client_secret: 'only-for-this-test' },
  session: { secret: 'only-for-this-test-0123456789abcdef', store: 'sqlite::memory:' },
  identity_headers: { map: { 'X-Team': 'team' } },
}
const ROUTES = {
  services: {
    orders: { base_url: 'http://orders:8080' },
    billing: { base_url: 'https://billing.shop.svc/v2' },
    partner: { base_url: 'https://api.partner.example' },
  },
  routes: [
    { id: 'orders', path: '/orders/*', target_service: 'orders' },
    { id: 'o.read', path: '/mixed', target_service: 'orders', methods: ['GET'] },
    { id: 'o.write', path: '/mixed', target_service: 'billing', methods: ['POST', 'OPTIONS'] },
    { id: 'api', path: '/api/orders/*', target_service: 'orders', upstream_path: '/v1/{path}' },
    { id: 'partner', path: '/partner/*', target_service: 'partner', encoded: ['slash'] },
    { id: 'app', path: '/*', host: '*.apps.example.com' },
    { id: 'shut', path: '/orders/shut', auth: 'deny' },
  ],
}

let dir: string
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'bff-generate-'))
  writeFileSync(join(dir, 'settings.yaml'), stringify(SETTINGS))
  writeFileSync(join(dir, 'routes.yaml'), stringify(ROUTES))
})
after(() => rmSync(dir, { recursive: true, force: true }))

async function generated(kind: string, ...more: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [
    CLI,
    'generate',
    kind,
    '--config',
    dir,
    '--upstream',
    'app=noop@internal',
    ...more,
  ])
  return stdout
}

/** What the comment asks of the static configuration: arguments, or YAML. */
function staticOf(text: string): Record<string, unknown> {
  const comment = text
    .split('\n')
    .filter((l) => l.startsWith('#'))
    .map((l) => l.slice(1).replace(/^ {3}/, ''))
  const args = comment.flatMap((l) => (l.trim().startsWith('--') ? [l.trim().slice(2)] : []))
  if (args.length === 0)
    return parse(comment.slice(comment.indexOf('entryPoints:')).join('\n')) as Record<string, unknown>
  const found: Record<string, unknown> = {}
  for (const arg of args) {
    const [path = '', value = ''] = arg.split('=')
    const keys = path.split('.')
    let at = found
    for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>
    at[keys.at(-1) ?? ''] = parse(value)
  }
  return found
}

interface Loaded {
  readonly name: string
  readonly status: string
  readonly rule?: string
  readonly priority?: number
  readonly service?: string
  readonly middlewares?: readonly string[]
  readonly forwardAuth?: Record<string, unknown>
  readonly addPrefix?: unknown
  readonly loadBalancer?: { readonly servers: readonly { readonly url: string }[] }
  readonly error?: unknown
}

/** What a real Traefik makes of it: each router with the options of its middlewares and the addresses of its service. */
async function loadedBy(
  text: string,
  providers: Record<string, unknown>,
  dynamic: Record<string, string> = {},
): Promise<object[]> {
  const [port, api] = [await freePort(), await freePort()]
  const asked = staticOf(text) as { entryPoints: { web: object } }
  const more = (asked as { providers?: Record<string, object> }).providers ?? {}
  const merged = Object.fromEntries(Object.entries(providers).map(([k, v]) => [k, { ...(v as object), ...more[k] }]))
  const traefik: Traefik = await startTraefik({
    port,
    static: stringify({
      entryPoints: {
        web: { ...asked.entryPoints.web, address: `127.0.0.1:${port}` },
        traefik: { address: `127.0.0.1:${api}` },
      },
      api: { insecure: true },
      log: { level: 'DEBUG' },
      global: { checkNewVersion: false, sendAnonymousUsage: false },
      providers: merged,
    }),
    dynamic,
  })
  try {
    const list = async (what: string): Promise<Loaded[]> =>
      (await (await fetch(`http://127.0.0.1:${api}/api/http/${what}?per_page=100`)).json()) as Loaded[]
    await until(
      'the routers',
      async () => (await list('routers')).some((r) => r.rule?.includes('PathPrefix(`/orders/`)')),
      {
        running: traefik,
      },
    )
    const [routers, middlewares, services] = [await list('routers'), await list('middlewares'), await list('services')]
    assert.deepEqual(
      [...routers, ...middlewares, ...services].filter((x) => x.status !== 'enabled').map((x) => [x.name, x.error]),
      [],
    )
    const named = (all: Loaded[], name: string, by: string): Loaded | undefined =>
      all.find((x) => x.name === (name.includes('@') ? name : `${name}@${by}`))
    return routers
      .filter((r) => !r.name.endsWith('@internal'))
      .map((r) => {
        const by = r.name.split('@')[1] ?? ''
        return {
          rule: r.rule,
          priority: r.priority,
          middlewares: (r.middlewares ?? []).map((m) => {
            const { forwardAuth, addPrefix } = named(middlewares, m, by) ?? {}
            return (
              addPrefix ?? { ...forwardAuth, address: String(forwardAuth?.['address']).replace(/^http:\/\/[^/]+/, '') }
            )
          }),
          leads:
            named(services, r.service ?? '', by)?.loadBalancer?.servers.map((s) =>
              s.url.replace(/:\/\/127\.0\.0\.\d+/, ''),
            ) ?? r.service,
        }
      })
      .sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0) || (a.rule ?? '').localeCompare(b.rule ?? ''))
  } finally {
    await traefik.stop()
  }
}

describe('the three outputs, as a real Traefik takes them', () => {
  let file: object[]
  const without = (routers: object[]): object[] => routers.map((r) => ({ ...r, leads: undefined }))
  const leads = (routers: object[]): unknown[] => routers.map((r) => (r as { leads: unknown }).leads)

  test('file: every router is enabled, in the order of our own table', async () => {
    const text = await generated('file')
    file = await loadedBy(text, { file: { directory: '{dynamic}' } }, { 'bff.yaml': text })
    assert.equal(file.length, 10)
    assert.deepEqual(
      leads(file),
      [
        'noop@internal',
        [':4181'],
        ['http://orders:8080'],
        ['https://billing.shop.svc'],
        'noop@internal',
        'noop@internal',
        [':4181'],
        ['https://api.partner.example'],
        ['http://orders:8080'],
        'noop@internal',
      ].map((x) => (Array.isArray(x) && x[0] === ':4181' ? ['http:4181'] : x)),
    )
  })

  test('labels: the same, on the containers that they are about, and no router of Traefik’s own making', async () => {
    const text = await generated('labels')
    const { services } = parse(text) as { services: Record<string, { labels: Record<string, string> }> }
    assert.deepEqual(Object.keys(services), ['bff', 'orders'])
    const docker = await startDockerApi(
      Object.entries(services).map(([name, { labels }], i) => ({
        name,
        ip: `127.0.0.${i + 2}`,
        // As compose reads them.
        labels: Object.fromEntries(
          Object.entries(labels).map(([k, v]) => {
            assert.doesNotMatch(v, /(?<!\$)(?:\$\$)*\$(?!\$)/, 'a variable to compose')
            return [k, v.replaceAll('$$', '$')]
          }),
        ),
      })),
    )
    try {
      const loaded = await loadedBy(text, { docker: { endpoint: docker.url } })
      assert.deepEqual(without(loaded), without(file))
      assert.deepEqual(
        leads(loaded)
          .flat()
          .filter((x) => x !== 'noop@internal'),
        ['http:4181', 'http:8080', 'https://billing.shop.svc', 'http:4181', 'https://api.partner.example', 'http:8080'],
      )
    } finally {
      docker.close()
    }
  })

  test('kubernetes: the same, in the namespaces of the services, without references across them', async () => {
    const text = await generated('kubernetes')
    const objects = parseAllDocuments(text).flatMap((d) => (d.contents === null ? [] : [d.toJS() as KubernetesObject]))
    for (const o of objects) assertShape(o)
    const kubernetes = await startKubernetesApi([
      ...objects,
      ...inCluster('bff', 'default', 4181),
      ...inCluster('orders', 'default', 8080),
      ...inCluster('billing', 'shop', 443),
    ])
    try {
      const loaded = await loadedBy(text, { kubernetesCRD: { endpoint: kubernetes.url, token: 'none' } })
      assert.deepEqual(without(loaded), without(file))
      assert.deepEqual(
        leads(loaded)
          .flat()
          .filter((x) => x !== 'noop@internal'),
        ['http:4181', 'http:8080', 'https:443', 'http:4181', 'https://api.partner.example:443', 'http:8080'],
      )
    } finally {
      kubernetes.close()
    }
  })
})

function inCluster(name: string, namespace: string, port: number): KubernetesObject[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { clusterIP: '10.0.0.1', ports: [{ name: 'http', port }] },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port }],
      endpoints: [{ addresses: ['127.0.0.9'], conditions: { ready: true } }],
    },
  ]
}

/** Keys that the definitions of traefik.io/v1alpha1 have: the API server drops others in silence. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  forwardAuth: [
    'address',
    'trustForwardHeader',
    'maxResponseBodySize',
    'preserveLocationHeader',
    'authResponseHeaders',
    'authResponseHeadersRegex',
    'tls',
  ],
  addPrefix: ['prefix'],
  routes: ['kind', 'match', 'priority', 'middlewares', 'services'],
}

function assertShape(o: KubernetesObject): void {
  assert.match(o.metadata.name, /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/)
  const spec = o['spec'] as Record<string, unknown>
  if (o.kind === 'Service') return
  assert.equal(o.apiVersion, 'traefik.io/v1alpha1')
  const parts =
    o.kind === 'Middleware' ? Object.entries(spec) : (spec['routes'] as object[]).map((r) => ['routes', r] as const)
  for (const [kind, part] of parts)
    assert.deepEqual(
      Object.keys(part as object).filter((k) => KEYS[kind]?.includes(k) !== true),
      [],
    )
  for (const route of (spec['routes'] ?? []) as {
    kind: string
    priority: unknown
    services: { kind?: string; port?: unknown }[]
  }[]) {
    assert.equal(route.kind, 'Rule')
    assert.ok(Number.isInteger(route.priority))
    for (const s of route.services) assert.ok(s.kind === 'TraefikService' || Number.isInteger(s.port))
  }
}
