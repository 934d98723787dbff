import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { startWorld, type World } from '../../demo/world.ts'
import { signInAt } from '../support/sign-in.ts'

let w: World
let cookie = ''
before(async () => {
  w = await startWorld()
  cookie = await signIn(w)
})
after(() => w.stop())

interface Got {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly body: string
}

/** The path as given, byte for byte, and header lines as given. */
function ask(
  path: string,
  headers: Record<string, string | string[]> = {},
  method = 'GET',
  at: World = w,
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const port = at.ports.traefik
    const req = request(
      { host: '127.0.0.1', port, path, method, headers: { host: `localhost:${port}`, ...headers }, agent: false },
      (res) => {
        const chunks: Buffer[] = []
        res.on('data', (c: Buffer) => chunks.push(c))
        res.on('end', () =>
          resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks).toString() }),
        )
      },
    )
    req.on('error', reject)
    req.end()
  })
}

const signIn = (at: World): Promise<string> => signInAt(at.origin)

describe('what a client sends under our names', () => {
  const FORGED = [
    'X-User-ID',
    'X-User-Email',
    'X-User-Groups',
    'X-Session-ID',
    'X-Original-User',
    'X-Identity-Assertion',
    'X-User-Issuer',
    'X-Auth-Time',
    'X-Correlation-ID',
    'X-CSRF-Token',
  ]

  test('never reaches an upstream on a session route', async () => {
    const forged = Object.fromEntries(FORGED.map((n) => [n, 'mallory']))
    const res = await ask('/orders/forged', { cookie, ...forged, authorization: 'Bearer of-mallory' })
    assert.equal(res.status, 200)
    const seen = w.orders.seen.at(-1)
    assert.ok(!JSON.stringify(seen?.headers).includes('mallory'))
    assert.equal(seen?.headers['x-user-id'], 'alice')
  })

  for (const alias of [
    'X_User_ID',
    'X.User.ID',
    'X~User~ID',
    'x_user-id',
    'X-Auth_Request_User',
    'X_Forwarded_User',
    'X_Forwarded_Proto',
  ]) {
    test(`${alias} is refused by the hardened entry point (CVE-2025-64484, CVE-2026-39858)`, async () => {
      assert.equal((await ask('/orders/alias', { cookie, [alias]: 'mallory' })).status, 400)
    })
  }

  test('aliases are refused by the service itself, where an entry point does not refuse them (CVE-2025-64484)', async () => {
    const soft = await startWorld({
      static: (s) => {
        delete (s.entryPoints['web'] as { http: Record<string, unknown> }).http['aliasHeadersStrategy']
      },
    })
    try {
      const mine = await signIn(soft)
      for (const alias of ['X_User_ID', 'x.user.groups', 'X~Session~ID'])
        assert.equal((await ask('/orders/alias', { cookie: mine, [alias]: 'mallory' }, 'GET', soft)).status, 400, alias)
      assert.equal(soft.orders.seen.length, 0)
      const forged = { cookie: mine, 'X-User-Issuer': 'mallory', 'X-CSRF-Token': 'mallory' }
      assert.equal((await ask('/orders/exact', forged, 'GET', soft)).status, 200)
      assert.ok(!JSON.stringify(soft.orders.seen.at(-1)?.headers).includes('mallory'))
    } finally {
      await soft.stop()
    }
  })
})

describe('no public router reaches verify', () => {
  const told = { 'x-forwarded-method': 'GET', 'x-forwarded-uri': '/orders/1', 'x-forwarded-proto': 'http' }
  const SPELLINGS = [
    '/auth/verify',
    '/auth/forward',
    '/auth/verify/',
    '/auth//verify',
    '/auth/./verify',
    '/auth/x/../verify',
    '/auth/%76erify',
    '/AUTH/verify',
    '/auth/Verify',
    '/auth/verify?service=orders',
    '/auth/verify%20',
    '/auth/verify;x',
    '/auth/verify%3bx',
    '//auth/verify',
    '/auth%2fverify',
    '/auth/verify%2f..',
  ]

  for (const path of SPELLINGS) {
    test(`${path} shows no token to a browser, with or without forwarded headers of its own`, async () => {
      for (const headers of [{ cookie }, { cookie, ...told, 'x-forwarded-host': `localhost:${w.ports.traefik}` }]) {
        const res = await ask(path, headers)
        assert.equal(res.headers['authorization'], undefined)
        assert.doesNotMatch(res.body, /eyJ/)
        assert.ok(res.status !== 200 || res.body.includes('<!doctype html>'), 'the SPA at most')
      }
    })
  }

  for (const trusted of [true, false])
    test(`and where a router reaches it all the same, ${trusted ? 'behind' : 'without'} trustedIPs, the service itself refuses`, async () => {
      const careless = await startWorld({
        static: (s) => {
          const web = s.entryPoints['web']
          if (trusted && web !== undefined) web['forwardedHeaders'] = { trustedIPs: ['127.0.0.1/32'] }
        },
        dynamic: (d) => {
          delete d.http.routers['bff-verify-is-not-public']
          const { bff } = d.http.routers
          if (bff !== undefined) bff['rule'] = 'PathPrefix(`/auth/`)'
        },
      })
      try {
        const mine = await signIn(careless)
        const origin = `localhost:${careless.ports.traefik}`
        for (const host of [origin, 'localhost:1', '127.0.0.1'])
          for (const path of ['/auth/verify', '/auth/forward', '/auth/verify?service=orders'])
            for (const more of [{}, { ...told, 'x-forwarded-host': origin, 'x-forwarded-server': '' }]) {
              const res = await ask(path, { cookie: mine, ...more, host }, 'GET', careless)
              assert.equal(res.status, 400)
              assert.equal(res.headers['authorization'], undefined)
            }
        await careless.waitForLog((l) => String(l['why']).includes('trustForwardHeader: false'))
      } finally {
        await careless.stop()
      }
    })
})

describe('paths', () => {
  const TRICKS = [
    '/x/../orders/1',
    '//orders/1',
    '/%6frders/1',
    '/orders/./1',
    '/orders/..%2f1',
    '/orders/..;/1',
    '/orders/%2e%2e/orders',
    '/orders%2f1',
    '/orders/%00',
    '/orders/a%5cb',
    '/orders/a\\b',
    '/ORDERS/1',
  ]

  test('no spelling reaches an API without a session (CVE-2025-66490, CVE-2025-47952, CVE-2025-32431)', async () => {
    const before = w.orders.seen.length
    for (const path of ['/orders/1', ...TRICKS]) await ask(path)
    assert.equal(w.orders.seen.length, before)
  })

  test('encoded slashes and the like are refused by the hardened entry point even with a session', async () => {
    for (const path of ['/orders/a%2fb', '/orders/a%5cb', '/orders/a%00', '/orders/a%3bb', '/orders/a%25b'])
      assert.equal((await ask(path, { cookie })).status, 400, path)
  })

  test('behind the softer entry point the service itself refuses them, on every route that does not say `encoded`', async () => {
    const soft = await startWorld({
      static: (s) => {
        const web = s.entryPoints['web'] as { http: { encodedCharacters: Record<string, boolean> } }
        for (const name of Object.keys(web.http.encodedCharacters)) web.http.encodedCharacters[name] = true
      },
      routes: (r) => {
        ;(r['routes'] as Record<string, unknown>[]).push({
          id: 'gitlab',
          path: '/orders/projects/*',
          target_service: 'orders',
          encoded: ['slash'],
        })
      },
    })
    try {
      const mine = await signIn(soft)
      for (const path of [
        '/orders/a%2fb',
        '/orders/a%5cb',
        '/orders/a%00',
        '/orders/a%3bb',
        '/orders/a%25b',
        '/orders/..%2fbilling',
        '/orders/projects/..%2fx',
      ]) {
        assert.equal((await ask(path, { cookie: mine }, 'GET', soft)).status, 400, path)
      }
      assert.equal((await ask('/orders/projects/group%2Fname', { cookie: mine }, 'GET', soft)).status, 200)
      assert.equal(soft.orders.seen.at(-1)?.url, '/orders/projects/group%2Fname')
    } finally {
      await soft.stop()
    }
  })

  test('a query goes through byte for byte', async () => {
    await ask('/orders/q?b=2&a=%zz&c=%C3%A4&x=1%2f2', { cookie })
    assert.equal(w.orders.seen.at(-1)?.url, '/orders/q?b=2&a=%zz&c=%C3%A4&x=1%2f2')
  })
})

describe('our answer', () => {
  test('a navigation is redirected by an absolute Location of the public origin, not of the middleware address', async () => {
    const res = await ask('/orders/1?x=1', {
      accept: 'text/html',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
    })
    assert.equal(res.status, 302)
    assert.equal(res.headers['location'], `${w.origin}/auth/login?return_to=%2Forders%2F1%3Fx%3D1`)
  })

  test('a HEAD, a WebSocket handshake and an odd method are decided like anything else', async () => {
    const handshake = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-version': '13',
    }
    assert.equal((await ask('/orders/1', {}, 'HEAD')).status, 401)
    assert.equal((await ask('/orders/1', handshake)).status, 401)
    assert.equal((await ask('/orders/1', { cookie }, 'PROPFIND')).status, 403, 'no CSRF token')
  })

  test('`Connection: X-Forwarded-Host` removes nothing that we decide on (CVE-2024-45410)', async () => {
    for (const name of ['X-Forwarded-Host', 'X-Forwarded-Uri', 'X-Forwarded-Method', 'X-User-ID', 'Cookie']) {
      const res = await ask('/orders/1', { connection: `close, ${name}`, cookie })
      if (res.status === 200) assert.match(res.body, /"x-user-id": "alice"/)
      else assert.ok([400, 401].includes(res.status))
    }
  })

  test('the upstream gets the cookies of others and none of ours', async () => {
    assert.equal(
      (await ask('/orders/c', { cookie: `theme=dark; ${cookie}; _csrf_token=x; bff_login_abc=y` })).status,
      200,
    )
    assert.equal(w.orders.seen.at(-1)?.headers.cookie, 'theme=dark')
    assert.equal((await ask('/orders/c', { cookie })).status, 200)
    assert.equal(w.orders.seen.at(-1)?.headers.cookie ?? '', '')
  })
})

test('the access log holds no Authorization and no cookie (CVE-2022-23469)', async () => {
  await ask('/orders/logged', { cookie, authorization: 'Bearer of-the-client', 'user-agent': 'the-test' })
  const deadline = performance.now() + 10_000
  while (!w.accessLog.some((l) => l.includes('/orders/logged')) && performance.now() < deadline)
    await ask('/orders/x', { cookie })
  const lines = w.accessLog.join('\n')
  assert.match(lines, /\/orders\/logged/)
  assert.doesNotMatch(lines, /eyJ|of-the-client|bff_session/)
})
