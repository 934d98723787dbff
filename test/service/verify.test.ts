import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { decodeJwt } from 'jose'
import type { Client } from '../support/client.ts'
import { send } from '../support/client.ts'
import { BILLING, ORDERS, ORIGIN, PUBLIC_HOST, startService, type Service } from '../support/service.ts'

let s: Service
let alice: Client
before(async () => {
  s = await startService()
  alice = await s.signIn()
})
after(() => s.stop())

const NAVIGATION = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', accept: 'text/html' }
const code = (res: Response): string | null => res.headers.get('x-bff-error')
const csrf = async (): Promise<string> =>
  ((await (await alice.get('/auth/csrf')).json()) as { csrf_token: string }).csrf_token
const audience = (res: Response): unknown =>
  decodeJwt((res.headers.get('authorization') ?? '').replace('Bearer ', '')).aud

describe('a yes', () => {
  test('R9 R14 carries a token for exactly the audience of the service that the request goes to', async () => {
    assert.equal(audience(await s.verify('/orders/1', { client: alice })), ORDERS)
    assert.equal(audience(await s.verify('/billing/1', { client: alice })), BILLING)
  })

  test('R4 R13 carries who the user is, in one value per header, and no body', async () => {
    const res = await s.verify('/orders/1', { client: alice })
    assert.equal(res.status, 200)
    assert.equal(res.headers.get('content-length'), '0')
    assert.equal(await res.text(), '')
    assert.equal(res.headers.get('x-user-id'), 'alice')
    assert.equal(res.headers.get('x-user-email'), 'alice@example.com')
    assert.equal(res.headers.get('x-original-user'), 'alice')
    assert.match(res.headers.get('x-auth-time') ?? '', /^\d{10}$/)
    assert.match(res.headers.get('x-correlation-id') ?? '', /^[0-9a-f]{32}$/)
    const handle = res.headers.get('x-session-id') ?? ''
    assert.match(handle, /^[\w-]{22}$/)
    assert.ok(!(alice.cookies.get('bff_session')?.value ?? '').includes(handle))
  })

  test('/auth/forward answers as /auth/verify does', async () => {
    const res = await s.verify('/orders/1', { client: alice, path: '/auth/forward' })
    assert.equal(res.status, 200)
    assert.equal(audience(res), ORDERS)
  })

  test('keeps our cookies from the upstream and lets the others through', async () => {
    const cookie = `theme=dark; ${alice.header('/orders')}; bff_login_x=1; lang=de`
    const res = await s.verify('/orders/1', { headers: { cookie } })
    assert.equal(res.headers.get('cookie'), 'theme=dark; lang=de')
  })

  test('on a route without a service carries identity and no token', async () => {
    const res = await s.verify('/plain/1', { client: alice, headers: { authorization: 'Bearer of-the-client' } })
    assert.equal(res.status, 200)
    assert.equal(res.headers.get('x-user-id'), 'alice')
    assert.equal(res.headers.get('authorization'), null)
  })

  test('on a public route carries no identity, needs no session, and lets the client own Authorization pass', async () => {
    const res = await s.verify('/open/page', { client: alice, headers: { authorization: 'Basic abc' } })
    assert.equal(res.status, 200)
    assert.equal(res.headers.get('x-user-id'), null)
    assert.equal(res.headers.get('authorization'), 'Basic abc')
  })

  test('names the trace of traceparent as the correlation id', async () => {
    const trace = '0af7651916cd43dd8448eb211c80319c'
    const res = await s.verify('/orders/1', {
      client: alice,
      headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` },
    })
    assert.equal(res.headers.get('x-correlation-id'), trace)
  })
})

describe('without a session', () => {
  test('a navigation is sent to sign in, by an absolute address built from the config', async () => {
    const res = await s.verify('/orders/1?x=1', { headers: NAVIGATION })
    assert.equal(res.status, 302)
    assert.equal(res.headers.get('location'), `${ORIGIN}/auth/login?return_to=%2Forders%2F1%3Fx%3D1`)
    assert.equal(code(res), 'NO_SESSION')
  })

  test('a program, a POST, a frame and a prefetch get 401 and no redirect', async () => {
    for (const more of [
      {},
      { method: 'POST', headers: NAVIGATION },
      { headers: { ...NAVIGATION, 'sec-fetch-dest': 'iframe' } },
      { headers: { ...NAVIGATION, 'sec-purpose': 'prefetch' } },
      { headers: { accept: 'text/event-stream' } },
      { headers: { authorization: 'Bearer junk' } },
    ]) {
      const res = await s.verify('/orders/1', more)
      assert.equal(res.status, 401, JSON.stringify(more))
      assert.equal(code(res), 'NO_SESSION')
    }
  })

  test('problem+json says where to sign in, and which request it was', async () => {
    const res = await s.verify('/orders/1')
    assert.equal(res.headers.get('content-type'), 'application/problem+json')
    const problem = (await res.json()) as Record<string, unknown>
    assert.deepEqual(Object.keys(problem).sort(), [
      'code',
      'correlation_id',
      'detail',
      'login_url',
      'status',
      'title',
      'type',
    ])
    assert.equal(problem['login_url'], `${ORIGIN}/auth/login`)
  })

  test('a malformed, huge, foreign or empty cookie is no session', async () => {
    const good = alice.cookies.get('bff_session')?.value ?? ''
    for (const value of [
      'x',
      '',
      's%3A',
      '%',
      '%00',
      good.slice(0, -3),
      `${good}x`,
      'a'.repeat(9000),
      good.replace('s%3A', ''),
    ]) {
      const res = await s.verify('/orders/1', { headers: { cookie: `bff_session=${value}` } })
      assert.equal(res.status, 401, value.slice(0, 40))
    }
  })

  test('cookies too large to be read are a bad request, never a yes', async () => {
    const res = await s.verify('/orders/1', { headers: { cookie: `a=${'x'.repeat(15_000)}; b=${'y'.repeat(500)}` } })
    assert.ok([400, 401, 431].includes(res.status))
  })
})

test('two different session cookies are refused, and the browser is told to drop them', async () => {
  const bob = await s.signIn()
  const cookie = `bff_session=${bob.cookies.get('bff_session')?.value ?? ''}; bff_session=${alice.cookies.get('bff_session')?.value ?? ''}`
  const res = await s.verify('/orders/1', { headers: { cookie } })
  assert.equal(res.status, 400)
  assert.equal(code(res), 'BAD_REQUEST')
  assert.match(res.headers.getSetCookie().join('\n'), /bff_session=; Path=\/; Expires=Thu, 01 Jan 1970/)
  const same = await s.verify('/orders/1', {
    headers: { cookie: `${alice.header('/orders')}; bff_session=${alice.cookies.get('bff_session')?.value ?? ''}` },
  })
  assert.equal(same.status, 200, 'the same cookie twice is one')
})

describe('routes', () => {
  test('nothing matches: 403 NO_ROUTE; deny: 403 FORBIDDEN', async () => {
    const none = await s.verify('/nowhere', { client: alice })
    assert.deepEqual([none.status, code(none)], [403, 'NO_ROUTE'])
    const shut = await s.verify('/open/shut', { client: alice })
    assert.deepEqual([shut.status, code(shut)], [403, 'FORBIDDEN'])
  })

  test('R10 no token for a service: 401 NO_TOKEN_AVAILABLE in answer and log, never a redirect and no login_url', async () => {
    const res = await s.verify('/reports/1', { client: alice })
    assert.deepEqual([res.status, code(res)], [401, 'NO_TOKEN_AVAILABLE'])
    assert.ok(!('login_url' in ((await res.json()) as object)))
    await s.waitForLog((l) => l['msg'] === 'NO_TOKEN_AVAILABLE service=reports')
    const page = await s.verify('/reports/1', { client: alice, headers: NAVIGATION })
    assert.equal(page.status, 401)
    assert.match(await page.text(), /\/auth\/login\?prompt=login/)
  })

  test('a page fits into what Traefik takes, however long the path: one that would not be followed is not said', async () => {
    const uri = (length: number): string => `/reports${'/a'.repeat(length / 2)}`
    for (const length of [1900, 13_000]) {
      const page = await s.verify(uri(length), { client: alice, headers: NAVIGATION })
      const text = await page.text()
      assert.equal(code(page), 'NO_TOKEN_AVAILABLE')
      assert.ok(text.length < 16_384, `${text.length}`)
      assert.equal(text.includes('return_to='), length === 1900)
      const login = await s.verify(uri(length), { headers: NAVIGATION })
      assert.equal(login.status, 302)
      assert.equal(login.headers.get('location')?.includes('return_to='), length === 1900)
    }
  })

  test('R11 the log says token_found=True service=<name>, and how many services a session has', async () => {
    await s.verify('/orders/1', { client: alice })
    await s.waitForLog((l) => l['msg'] === 'token_found=True service=orders')
    await alice.get('/api/auth/session')
    const line = await s.waitForLog((l) => l['msg'] === 'Session status check successful')
    assert.equal(line['services_count'], 2)
  })

  test('a pin narrows and never widens', async () => {
    assert.equal((await s.verify('/orders/1', { client: alice, pin: 'orders' })).status, 200)
    const other = await s.verify('/orders/1', { client: alice, pin: 'billing' })
    assert.deepEqual([other.status, code(other)], [403, 'FORBIDDEN'])
    const alone = await s.verify('/nowhere', { client: alice, pin: 'billing' })
    assert.equal(alone.status, 200)
    assert.equal(audience(alone), BILLING)
  })

  test('a pin opens nothing that a route of the same path keeps shut: another method, another case', async () => {
    s.rewrite({
      routes: (r) => {
        const require = { groups: ['admins'] }
        r.routes.push(
          { id: 'admin', path: '/orders/admin/*', target_service: 'orders', methods: ['GET'], require },
          { id: 'lone', path: '/lone/*', target_service: 'orders', methods: ['GET'], require },
        )
      },
    })
    try {
      for (const [uri, method] of [
        ['/orders/admin/1', 'DELETE'],
        ['/lone/1', 'HEAD'],
        ['/orders/ADMIN/1', 'GET'],
        ['/LONE/1', 'GET'],
      ] as const) {
        const token = { 'x-csrf-token': alice.cookies.get('_csrf_token')?.value ?? '' }
        const res = await s.verify(uri, { client: alice, pin: 'orders', method, headers: token })
        assert.deepEqual([res.status, code(res)], [403, 'NO_ROUTE'], uri)
      }
    } finally {
      s.rewrite({})
    }
  })

  test('an unknown, repeated or empty pin, or a typo of it, is a bad request', async () => {
    for (const path of ['?service=nobody', '?service=', '?service=orders&service=orders', '?sevice=orders']) {
      const res = await s.verify('/orders/1', { client: alice, path: `/auth/verify${path}` })
      assert.deepEqual([res.status, code(res)], [400, 'BAD_REQUEST'], path)
    }
  })

  test("the request's own query never pins", async () => {
    assert.equal(audience(await s.verify('/orders/1?service=billing', { client: alice })), ORDERS)
  })
})

describe('the door', () => {
  const raw = (headers: Record<string, string>): Promise<Response> => send(`${s.url}/auth/verify`, { headers })
  const told = {
    'x-forwarded-method': 'GET',
    'x-forwarded-host': PUBLIC_HOST,
    'x-forwarded-uri': '/open/page',
    'x-forwarded-proto': 'http',
  }

  test('a check that names no method, host or target, or one of them twice, is refused', async () => {
    for (const name of Object.keys(told).filter((n) => n !== 'x-forwarded-proto')) {
      const { [name as 'x-forwarded-method']: _, ...rest } = told
      assert.equal((await raw(rest)).status, 400, name)
    }
    for (const name of ['x-forwarded-method', 'x-forwarded-host', 'x-forwarded-uri']) {
      const res = await send(`${s.url}/auth/verify`, { headers: { ...told, [name]: ['GET', 'GET'] } })
      assert.equal(res.status, 400, name)
    }
    assert.equal((await raw({ ...told, 'x-forwarded-method': 'get' })).status, 400)
  })

  test('a browser at the verify endpoint itself is refused, by Host and by X-Forwarded-Server, and the log says why', async () => {
    assert.equal((await raw(told)).status, 200)
    assert.equal((await raw({ ...told, host: PUBLIC_HOST })).status, 400)
    assert.equal((await raw({ ...told, host: 'LocalHost.:8000' })).status, 400)
    assert.equal((await raw({ ...told, 'x-forwarded-server': 'traefik-1' })).status, 400)
    await s.waitForLog((l) => String(l['why']).includes('trustForwardHeader: false'))
  })

  test('hosts that only look like ours are not ours', async () => {
    for (const host of [
      'LOCALHOST:8000',
      'localhost.:8000',
      'localhost',
      'localhost:80',
      'evil.com',
      'localhost:8000, evil.com',
      'localhost:8000/x',
      'localhost:8000/abc?bar=',
      '',
    ]) {
      assert.equal((await raw({ ...told, 'x-forwarded-host': host })).status, 400, host)
    }
  })

  test('targets that are not canonical are refused', async () => {
    for (const uri of [
      '/open/../orders/1',
      '/open//x',
      '/%6fpen/x',
      '/open/..%2forders',
      '/open/%2e%2e/x',
      'http://evil/open',
      '/open/x#y',
      '/open\\x',
      '/open/%00',
      '/open;x/y',
      '/open/%2561',
      '*',
    ]) {
      const res = await raw({ ...told, 'x-forwarded-uri': uri })
      assert.deepEqual([res.status, code(res)], [400, 'BAD_REQUEST'], uri)
    }
  })

  test('a stranger is believed nothing, and is logged once', async () => {
    const strange = await startService({
      settings: (base) => {
        base.server['trusted_proxies'] = ['10.9.8.7/32']
      },
    })
    try {
      for (let i = 0; i < 3; i++) assert.equal((await strange.verify('/open/page')).status, 400)
      await strange.waitForLog((l) => l['msg'] === 'untrusted_peer peer=127.0.0.1')
      assert.equal(strange.logs.filter((l) => String(l['msg']).startsWith('untrusted_peer')).length, 1)
    } finally {
      await strange.stop()
    }
  })
})

describe('cross-site request forgery', () => {
  test('R5 a POST to a service wants the CSRF token of this session', async () => {
    const post = (headers: Record<string, string>): Promise<Response> =>
      s.verify('/orders/1', { client: alice, method: 'POST', headers })
    assert.equal((await post({ 'x-csrf-token': await csrf() })).status, 200)
    const bob = await s.signIn()
    const foreign = ((await (await bob.get('/auth/csrf')).json()) as { csrf_token: string }).csrf_token
    for (const headers of [{}, { 'x-csrf-token': 'x' }, { 'x-csrf-token': foreign }] as Record<string, string>[]) {
      const res = await post(headers)
      assert.deepEqual([res.status, code(res)], [403, 'CSRF_FAILED'], JSON.stringify(headers))
    }
    assert.equal((await post({ 'x-csrf-token': await csrf(), origin: 'https://evil.example.com' })).status, 403)
  })

  test('a route without a service wants Origin or Sec-Fetch-Site to say same origin; their absence proves nothing', async () => {
    const post = async (headers: Record<string, string>): Promise<number> =>
      (await s.verify('/plain/1', { client: alice, method: 'POST', headers })).status
    assert.equal(await post({ origin: ORIGIN }), 200)
    assert.equal(await post({ 'sec-fetch-site': 'same-origin' }), 200)
    assert.equal(await post({}), 403)
    assert.equal(await post({ origin: 'null' }), 403)
    assert.equal(await post({ origin: 'null', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }), 403)
    const form = { origin: 'null', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate' }
    assert.equal(await post(form), 200, 'a form of a page with Referrer-Policy: no-referrer')
    assert.equal(await post({ origin: 'https://evil.example.com', 'sec-fetch-site': 'same-origin' }), 403)
  })

  test('a cross-site or same-site fetch is refused whatever its method, a navigation is not', async () => {
    const get = async (headers: Record<string, string>): Promise<number> =>
      (await s.verify('/orders/1', { client: alice, headers })).status
    assert.equal(await get({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }), 403)
    assert.equal(
      await get({ 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors', origin: 'http://evil.localhost:8000' }),
      403,
    )
    assert.equal(await get({ ...NAVIGATION, 'sec-fetch-site': 'cross-site' }), 200)
  })

  test('a WebSocket upgrade from a foreign or missing Origin is refused', async () => {
    const up = async (headers: Record<string, string>): Promise<number> =>
      (
        await s.verify('/orders/ws', {
          client: alice,
          headers: { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers },
        })
      ).status
    assert.equal(await up({ origin: ORIGIN }), 200)
    assert.equal(await up({ origin: 'https://evil.example.com' }), 403)
    assert.equal(await up({}), 403)
  })
})

test('R22 what is not asked on behalf of a browser route is not served: the main listener knows its endpoints and nothing else', async () => {
  for (const path of ['/', '/admin', '/auth/nothing', '/metrics', '/auth/verifyx']) {
    const res = await alice.get(path)
    assert.ok(res.status === 403 || res.status === 404, path)
    assert.equal(code(res), 'NO_ROUTE')
  }
})

describe('R23 access is decided per route and per service, and each service is told only what it needs', () => {
  test('a group, a claim or a network that is wanted and missing is 403, told in the log with its rule', async () => {
    const strict = await startService({
      routes: (r) => {
        r.services['billing'] = { require: { claims: { email: 'bob@example.com' } } }
        r.routes.push(
          { id: 'admins', path: '/admins/*', require: { groups: ['admins'] } },
          { id: 'inside', path: '/inside/*', require: { networks: ['10.0.0.0/8'] } },
          {
            id: 'here',
            path: '/here/*',
            require: { networks: ['203.0.113.0/24'], claims: { email: ['x', 'alice@example.com'] } },
          },
        )
      },
      settings: (base) => {
        ;(base as unknown as { service_tokens: { orders: Record<string, unknown> } }).service_tokens.orders[
          'identity_headers'
        ] = ['X-User-ID']
      },
    })
    try {
      const client = await strict.signIn()
      for (const path of ['/admins/1', '/inside/1', '/billing/1']) {
        const res = await strict.verify(path, { client })
        assert.deepEqual([res.status, code(res)], [403, 'FORBIDDEN'], path)
      }
      assert.equal((await strict.verify('/here/1', { client })).status, 200)
      const line = await strict.waitForLog((l) => l['msg'] === 'access_denied route=admins')
      assert.equal(line['sub'], 'alice')
      assert.equal(line['client_ip'], '203.0.113.7')
      const page = await strict.verify('/admins/1', { client, headers: NAVIGATION })
      assert.match(await page.text(), /alice Example[\s\S]*\/auth\/logout/)
      const told = await strict.verify('/orders/1', { client })
      assert.equal(told.headers.get('x-user-id'), 'alice')
      assert.equal(told.headers.get('x-user-email'), null)
    } finally {
      await strict.stop()
    }
  })
})

test('R13 R16 a machine token comes from the second client, once for all users; the user is still the one who signed in', async () => {
  let calls = 0
  const machine = await startService({
    settings: (base) => {
      const services = (base as unknown as { service_tokens: Record<string, unknown> }).service_tokens
      services['batch'] = { audience: ORDERS, scopes: ['api.read'], strategy: 'client_credentials', client: 'machine' }
      Object.assign(base, { clients: { machine: { client_id: 'bff-m2m', client_secret: 'demo-only-machine-secret' } } })
    },
    routes: (r) => r.routes.push({ id: 'batch', path: '/batch/*', target_service: 'batch' }),
    extendProvider: (oidc) => {
      oidc.on('grant.success', (ctx) => {
        if (ctx.oidc.params?.['grant_type'] === 'client_credentials') calls += 1
      })
    },
  })
  try {
    const users = [await machine.signIn(), await machine.signIn()]
    for (const client of [...users, ...users]) {
      const res = await machine.verify('/batch/1', { client })
      assert.equal(res.status, 200)
      const claims = decodeJwt((res.headers.get('authorization') ?? '').slice(7))
      assert.deepEqual([claims.aud, claims['client_id']], [ORDERS, 'bff-m2m'])
      assert.equal(res.headers.get('x-user-id'), 'alice')
    }
    assert.equal(calls, 1)
  } finally {
    await machine.stop()
  }
})
