import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { certs } from '../../commands/certs.ts'
import { startWorld, type World } from '../../demo/world.ts'
import { freePort, until } from '../../demo/launcher/index.ts'
import { send } from '../support/client.ts'
import { signInAt } from '../support/sign-in.ts'

const run = promisify(execFile)
const CLI = join(import.meta.dirname, '..', '..', 'cli.ts')

async function generate(dir: string, ...more: string[]): Promise<{ stdout: string; stderr: string }> {
  return run(process.execPath, [CLI, 'generate', 'file', '--config', dir, ...more])
}

describe('a generated file in a real Traefik', () => {
  let w: World
  let cookie: string
  let notes: string
  before(async () => {
    w = await startWorld({
      settings: (s) => {
        const server = s['server'] as Record<string, unknown>
        const port = new URL(String(server['public_url'])).port
        server['public_urls'] = [server['public_url'], `http://a.localhost:${port}`]
        delete server['public_url']
      },
      static: (s) => {
        // Encoded characters pass Traefik, so that it is we who refuse them.
        const web = s.entryPoints['web'] as { http: { encodedCharacters: Record<string, boolean> } }
        for (const name of Object.keys(web.http.encodedCharacters)) web.http.encodedCharacters[name] = true
      },
      routes: (r) => {
        const services = r['services'] as Record<string, { base_url: string }>
        services['billing'] = { base_url: `${services['billing']?.base_url ?? ''}/base` }
        const of = (id: string, path: string, more: object = {}): object => ({ id, path, ...more })
        const orders = { target_service: 'orders' }
        const billing = { target_service: 'billing' }
        r['routes'] = [
          of('orders', '/orders/*', orders),
          of('orders.admin', '/orders/admin/*', { ...orders, require: { groups: ['none'] } }),
          of('exact', '/orders/exact', billing),
          of('shut', '/orders/shut', { auth: 'deny' }),
          of('open', '/orders/open/*', { ...orders, auth: 'public' }),
          of('read', '/mixed/*', { ...orders, methods: ['GET', 'HEAD'] }),
          of('write', '/mixed/*', { ...billing, methods: ['POST', 'OPTIONS'], csrf: 'off' }),
          of('change', '/mixed/*', { ...orders, methods: ['PUT'], csrf: 'off', upstream_path: '/changed/{path}' }),
          of('get-only', '/get-only/*', { ...orders, methods: ['GET'] }),
          of('api', '/api/orders/*', { ...orders, upstream_path: '/v1/{path}' }),
          of('api-admin', '/api/orders/admin/*', {
            ...orders,
            upstream_path: '/v1/{path}',
            require: { groups: ['x'] },
          }),
          of('blank', '/with%20blank/*', orders),
          of('umlaut', '/%C3%A4/*', orders),
          of('tick', '/ti%60ck', orders),
          of('parens', "/a(b)'c,d$e/*", orders),
          of('encoded', '/projects/*', { ...orders, encoded: ['slash'] }),
          of('any-host', '/hosted/*', orders),
          of('one-host', '/hosted/*', { ...billing, auth: 'public', host: 'a.localhost' }),
          of('plain', '/plain/*'),
          of('lost', '/lost/*', { target_service: 'lost' }),
        ]
      },
    })
    const { stdout, stderr } = await generate(w.dir, '--upstream', 'plain=spa@file')
    notes = stderr
    await w.traefik.write(
      'bff.yaml',
      `${stdout}    spa:\n      loadBalancer:\n        servers:\n          - url: http://127.0.0.1:${w.ports.spa}\n`,
    )
    await until(
      'the generated routers',
      async () => (await ask('GET', '/get-only/x')).headers.get('x-bff-error') !== null,
    )
    cookie = await signInAt(w.origin)
  })
  after(() => w.stop())

  const ask = (method: string, path: string, headers: Record<string, string> = {}): Promise<Response> =>
    send(`http://127.0.0.1:${w.ports.traefik}${path}`, {
      method,
      headers: { host: `localhost:${w.ports.traefik}`, ...headers },
    })
  /** The decision itself, asked as Traefik asks. */
  const decide = (method: string, path: string, headers: Record<string, string>): Promise<Response> => {
    const { host = `localhost:${w.ports.traefik}`, ...rest } = headers
    return send(`http://127.0.0.1:${w.ports.service}/auth/verify`, {
      headers: {
        ...rest,
        'x-forwarded-method': method,
        'x-forwarded-uri': path,
        'x-forwarded-host': host,
        'x-forwarded-for': '127.0.0.1',
      },
    })
  }
  const seen = (): string | undefined => {
    const all = [
      ...w.orders.seen.map((r) => ['orders', r] as const),
      ...w.billing.seen.map((r) => ['billing', r] as const),
    ]
    const last = all.at(-1)
    if (last === undefined) return undefined
    return `${last[0]} ${last[1].method} ${last[1].url}`
  }
  const forget = (): void => {
    for (const api of [w.orders, w.billing]) (api.seen as unknown[]).length = 0
  }

  const YES: readonly (readonly [method: string, path: string, upstream: string, headers?: Record<string, string>])[] =
    [
      ['GET', '/orders', 'orders GET /orders'],
      ['GET', '/orders/1?a=b&c=%2f', 'orders GET /orders/1?a=b&c=%2f'],
      ['GET', '/orders/exact', 'billing GET /base/orders/exact'],
      ['GET', '/orders/exact/more', 'orders GET /orders/exact/more'],
      ['GET', '/mixed/1', 'orders GET /mixed/1'],
      ['POST', '/mixed/1', 'billing POST /base/mixed/1'],
      ['PUT', '/mixed/1', 'orders PUT /changed/1'],
      ['OPTIONS', '/mixed/1', 'billing OPTIONS /base/mixed/1'],
      ['GET', '/get-only/1', 'orders GET /get-only/1'],
      ['GET', '/api/orders/7?x=%41', 'orders GET /v1/7?x=%41'],
      ['GET', '/with%20blank/1', 'orders GET /with%20blank/1'],
      ['GET', '/%C3%A4/1', 'orders GET /%C3%A4/1'],
      ['GET', '/ti%60ck', 'orders GET /ti%60ck'],
      ['GET', "/a(b)'c,d$e/1", "orders GET /a(b)'c,d$e/1"],
      ['GET', '/projects/a%2Fb', 'orders GET /projects/a%2Fb'],
      ['GET', '/hosted/1', 'orders GET /hosted/1'],
    ]
  for (const [method, path, upstream, headers = {}] of YES) {
    test(`${method} ${path} reaches ${upstream}, with the token of that service`, async () => {
      forget()
      const res = await ask(method, path, { cookie, ...headers })
      assert.equal(res.status, 200, await res.text())
      assert.equal(seen(), upstream)
      assert.equal((await decide(method, path, { cookie, ...headers })).status, 200)
    })
  }

  const NO: readonly (readonly [method: string, path: string, headers?: Record<string, string>])[] = [
    ['GET', '/orders/admin/1'],
    ['GET', '/orders/admin'],
    ['GET', '/orders/shut'],
    ['POST', '/orders/1'],
    ['DELETE', '/mixed/1'],
    ['PATCH', '/mixed'],
    ['POST', '/get-only/1'],
    ['OPTIONS', '/get-only/1'],
    ['GET', '/api/orders/admin/1'],
    ['GET', '/orders/ADMIN/1'],
    ['GET', '/orders/a%2Fb'],
    ['GET', '/orders/admin%2Fx'],
    ['GET', '/lost/1'],
    ['GET', '/plain/%2e%2e%2forders'],
  ]
  for (const [method, path, headers = {}] of NO) {
    test(`${method} ${path} is refused as the decision says, with and without a session`, async () => {
      for (const who of [{}, { cookie }]) {
        forget()
        const [res, decided] = [
          await ask(method, path, { ...who, ...headers }),
          await decide(method, path, { ...who, ...headers }),
        ]
        assert.notEqual(decided.status, 200)
        assert.deepEqual(
          [res.status, res.headers.get('x-bff-error')],
          [decided.status, decided.headers.get('x-bff-error')],
        )
        assert.equal(seen(), undefined)
      }
    })
  }

  test('nobody gets in without a session, but where a route is public; a client’s own identity headers reach nobody', async () => {
    for (const [method, path] of YES) {
      forget()
      assert.equal((await ask(method, path)).status, 401, path)
      assert.equal(seen(), undefined)
    }
    forget()
    await ask('GET', '/orders/open/1', { 'x-user-id': 'mallory' })
    assert.equal(seen(), 'orders GET /orders/open/1')
    assert.equal(w.orders.seen.at(-1)?.headers['x-user-id'], undefined)
  })

  test('another public host has its own route, and a host that is not ours has none', async () => {
    forget()
    const there = await ask('GET', '/hosted/open', { host: `a.localhost:${w.ports.traefik}` })
    assert.equal(there.headers.get('x-bff-error'), null)
    assert.equal(seen(), 'billing GET /base/hosted/open')
    assert.equal((await ask('GET', '/hosted/open')).headers.get('x-bff-error'), 'NO_SESSION')
    assert.equal((await ask('GET', '/orders/1', { host: 'elsewhere.example', cookie })).status, 404)
  })

  test('a preflight goes where the request that it asks for would go', async () => {
    const preflight = { origin: w.origin, cookie }
    for (const [method, upstream] of [
      ['GET', 'orders OPTIONS /mixed/1'],
      ['POST', 'billing OPTIONS /base/mixed/1'],
      ['PUT', 'orders OPTIONS /changed/1'],
    ] as const) {
      forget()
      const res = await ask('OPTIONS', '/mixed/1', { ...preflight, 'access-control-request-method': method })
      assert.equal(res.status, 200, `${method} ${await res.text()}`)
      assert.equal(seen(), upstream)
    }
  })

  test('no spelling of verify is public, and the browser’s endpoints are', async () => {
    for (const path of ['/auth/verify', '/auth/forward', '/auth//verify', '/AUTH/verify', '/auth/verify/x']) {
      const res = await ask('GET', path, { cookie })
      assert.notEqual(res.status, 200, path)
      assert.equal(res.headers.get('authorization'), null)
    }
    assert.equal((await ask('GET', '/auth/health')).status, 200)
    assert.equal((await ask('GET', '/api/auth/session', { cookie })).status, 200)
  })

  test('a route whose upstream nobody knows is decided all the same and leads nowhere; --upstream says where', async () => {
    assert.match(notes, /service lost: .*base_url/)
    assert.doesNotMatch(notes, /plain/)
    assert.equal(await (await ask('GET', '/plain/1', { cookie })).text(), 'not here\n', 'the SPA says so')
    assert.equal((await ask('GET', '/plain/1')).status, 401)
  })
})

test('with verify_listen the generated checks go over mutual TLS, on one connection', async () => {
  const tls = mkdtempSync(join(tmpdir(), 'bff-tls-'))
  certs('.', { out: tls, hosts: [], force: false }, () => undefined, assert.fail)
  const port = await freePort()
  const w = await startWorld({
    settings: (s) =>
      Object.assign(s['server'] as object, {
        verify_listen: `127.0.0.1:${port}`,
        verify_tls: { cert: join(tls, 'bff.pem'), key: join(tls, 'bff.key'), client_ca: join(tls, 'ca.pem') },
        // For the proxied routes alone: checks are believed for their certificate.
        trusted_proxies: ['127.0.0.1/32'],
      }),
  })
  try {
    const { stdout } = await generate(w.dir)
    assert.match(stdout, new RegExp(`address: https://127\\.0\\.0\\.1:${port}/auth/verify`))
    await w.traefik.write('bff.yaml', stdout)
    const ask = (path: string, cookie: string): Promise<Response> => fetch(w.origin + path, { headers: { cookie } })
    await until(
      'the generated routers',
      async () => (await fetch(`http://127.0.0.1:${w.ports.traefik}/`)).status === 404,
    )
    const cookie = await signInAt(w.origin)
    for (const path of ['/orders/1', '/billing/1', '/api/orders/1']) {
      assert.equal((await ask(path, cookie)).status, 200, path)
      assert.equal((await ask(path, '')).status, 401, path)
    }
  } finally {
    await w.stop()
    rmSync(tls, { recursive: true, force: true })
  }
})
