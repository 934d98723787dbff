import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { certs } from '../../commands/certs.ts'
import { checkConfig } from '../../commands/check.ts'
import { generate, type GenerateArgs } from '../../commands/generate.ts'

let dir: string
before(() => (dir = mkdtempSync(join(tmpdir(), 'bff-generate-'))))
after(() => rmSync(dir, { recursive: true, force: true }))

const ROUTES = {
  services: { orders: { base_url: 'http://orders:8080' } },
  routes: [{ id: 'orders', path: '/orders/*', target_service: 'orders' }],
}

function configDir(server: object, routes: object = ROUTES): string {
  const at = mkdtempSync(join(dir, 'config-'))
  mkdirSync(join(at, 'tls'))
  certs(at, { out: undefined, hosts: [], force: false }, () => undefined, assert.fail)
  writeFileSync(
    join(at, 'settings.yaml'),
    stringify({
      server: {
        public_url: 'https://app.example.com',
        listen: '127.0.0.1:4181',
        trusted_proxies: ['127.0.0.1/32'],
        ...server,
      },
      auth: { issuer: 'https://idp.example.com', client_id: 'bff', client_secret: 'only-for-this-test' },
      session: { secret: 'only-for-this-test-0123456789abcdef', store: 'sqlite::memory:' },
    }),
  )
  writeFileSync(join(at, 'routes.yaml'), stringify(routes))
  return at
}

interface Result {
  readonly code: number
  readonly out: string
  readonly err: string
}

function run(at: string, args: Partial<GenerateArgs> = {}): Result {
  const said = { out: '', err: '' }
  const all = { kind: 'file', entryPoint: undefined, host: undefined, tls: false, tlsDir: undefined, out: undefined }
  const code = generate(
    at,
    {},
    { ...all, upstreams: [], ...args },
    (t) => (said.out += t),
    (t) => (said.err += `${t}\n`),
  )
  return { code, ...said }
}

interface Dynamic {
  http: {
    middlewares: Record<string, { forwardAuth: { address: string; tls?: Record<string, string> } }>
    routers: Record<string, { entryPoints: string[]; tls?: object; priority: number; rule: string }>
    services: Record<string, { loadBalancer: { servers: { url: string }[] } }>
  }
}
const http = (r: Result): Dynamic['http'] => (parse(r.out) as Dynamic).http

test('an invalid config is refused as by check, an unreadable one and wrong usage are told apart', () => {
  const faulty = run(configDir({}, { routes: [{ id: 'a', path: 'orders' }] }))
  assert.deepEqual([faulty.code, faulty.out], [1, ''])
  assert.match(faulty.err, /routes\.yaml:\d+: BAD_PATH/)
  assert.equal(run(join(dir, 'none')).code, 2)
  const at = configDir({})
  for (const args of [
    { kind: undefined },
    { kind: 'toml' },
    { entryPoint: 'web"\n' },
    { host: 'a b' },
    { host: 'bff:4181' },
    { upstreams: ['orders'] },
    { upstreams: ['orders=spa'] },
    { upstreams: ['ordrs=spa@docker'] },
  ]) {
    const got = run(at, args)
    assert.deepEqual([got.code, got.out], [2, ''], JSON.stringify(args))
  }
  assert.match(run(at, { upstreams: ['ordrs=spa@docker'] }).err, /Did you mean orders\?/)
  assert.equal(run(configDir({ listen: '127.0.0.1:0' })).code, 1)
})

test('entry point, TLS and the address are as asked for', () => {
  const at = configDir({ listen: '0.0.0.0:4181' })
  const plain = http(run(at))
  assert.equal(
    plain.middlewares['bff-auth-orders']?.forwardAuth.address,
    'http://127.0.0.1:4181/auth/verify?service=orders',
  )
  assert.deepEqual(plain.routers['bff']?.entryPoints, ['web'])
  const other = http(run(at, { entryPoint: 'websecure', tls: true, host: '2001:db8::1' }))
  assert.deepEqual([other.routers['bff']?.entryPoints, other.routers['bff']?.tls], [['websecure'], {}])
  assert.equal(other.services['bff']?.loadBalancer.servers[0]?.url, 'http://[2001:db8::1]:4181')
  for (const kind of ['labels', 'kubernetes']) {
    const got = run(at, { kind, entryPoint: 'websecure', tls: true, host: 'bff.internal' })
    assert.match(got.out, /http:\/\/bff\.internal:4181\/auth\/verify/)
    assert.match(got.out, /websecure/)
    assert.equal(got.err, '')
    assert.match(run(configDir({}), { kind }).err, /loopback/)
  }
})

test('with verify_listen checks go over TLS, with the certificates that Traefik has', () => {
  const tls = { cert: 'tls/bff.pem', key: 'tls/bff.key', client_ca: 'tls/ca.pem' }
  const at = configDir({ verify_listen: '127.0.0.1:4443', verify_tls: tls })
  const auth = (args: Partial<GenerateArgs> = {}) => http(run(at, args)).middlewares['bff-auth-orders']?.forwardAuth
  assert.equal(auth()?.address, 'https://127.0.0.1:4443/auth/verify?service=orders')
  const file = (name: string): string => join(at, 'tls', name)
  assert.deepEqual(auth()?.tls, { ca: file('ca.pem'), cert: file('traefik.pem'), key: file('traefik.key') })
  assert.equal(auth({ tlsDir: '/etc/there' })?.tls?.['ca'], '/etc/there/ca.pem')
  assert.match(run(at, { kind: 'labels' }).out, /forwardauth\.tls\.cert: \/etc\/traefik\/bff\/traefik\.pem/)
  assert.match(run(at, { kind: 'kubernetes' }).out, /caSecret: bff-verify-ca\n +certSecret: bff-verify-client/)
  const open = configDir({ verify_listen: '127.0.0.1:4443', verify_tls: { cert: tls.cert, key: tls.key } })
  const without = http(run(open)).middlewares['bff-auth-orders']?.forwardAuth.tls
  assert.deepEqual(Object.keys(without ?? {}), ['ca'])
})

test('--out replaces a file in one go', () => {
  const out = join(dir, 'dynamic.yaml')
  writeFileSync(out, 'before')
  const got = run(configDir({}), { out })
  assert.deepEqual([got.code, got.out], [0, ''])
  assert.ok((parse(readFileSync(out, 'utf8')) as Dynamic).http.routers['bff-orders'] !== undefined)
  assert.ok(!existsSync(`${out}.new`))
})

test('ids that spell one name after another get names of their own, and none takes one of ours', () => {
  const route = (id: string, path: string): object => ({ id, path, auth: 'deny' })
  const routes = {
    routes: [route('a.b', '/1'), route('a:b', '/2'), route('A-b', '/3'), route('verify-is-not-public', '/4')],
  }
  const names = Object.keys(http(run(configDir({}, routes))).routers)
  assert.deepEqual(names.sort(), [
    'bff',
    'bff-a-b',
    'bff-a-b-2',
    'bff-a-b-3',
    'bff-verify-is-not-public',
    'bff-verify-is-not-public-2',
  ])
})

const MIXED = {
  services: { orders: { base_url: 'http://orders:8080/base' }, billing: { base_url: 'https://billing:8443' } },
  routes: [
    { id: 'orders', path: '/orders/*', target_service: 'orders' },
    { id: 'read', path: '/mixed/*', target_service: 'orders', methods: ['GET'] },
    { id: 'write', path: '/mixed/*', target_service: 'billing', methods: ['POST'] },
    { id: 'api', path: '/api/*', target_service: 'orders', upstream_path: '/v1/{path}' },
    { id: 'lost', path: '/lost/*', target_service: 'lost' },
    { id: 'plain', path: '/*', encoded: ['slash'] },
    { id: 'shut', path: '/orders/shut', auth: 'deny' },
  ],
}

test('check --traefik finds no fault in what is written, whatever the config', () => {
  const tls = { cert: 'tls/bff.pem', key: 'tls/bff.key', client_ca: 'tls/ca.pem' }
  for (const server of [
    {},
    { base_path: '/app/auth' },
    { verify_listen: '127.0.0.1:4443', verify_tls: tls },
    { public_url: undefined, public_urls: ['https://app.example.com', 'https://*.apps.example.com'] },
    { listen: '[::1]:4181', trusted_proxies: ['::1/128'] },
  ]) {
    const at = configDir(server, MIXED)
    for (const args of [
      {},
      { entryPoint: 'websecure', tls: true },
      { host: 'bff.internal' },
      { upstreams: ['plain=spa@docker'] },
    ]) {
      const out = join(at, 'traefik.yaml')
      assert.equal(run(at, { ...args, out }).code, 0)
      let said = ''
      const code = checkConfig(at, {}, (t) => (said += `${t}\n`), [out])
      assert.equal(code, 0, `${JSON.stringify([server, args])}\n${said}`)
      assert.doesNotMatch(said, /traefik\.yaml/)
    }
  }
})

test('no secret of the settings is in what is written', () => {
  for (const kind of ['file', 'labels', 'kubernetes'])
    assert.doesNotMatch(run(configDir({}), { kind }).out, /only-for-this-test/)
})
