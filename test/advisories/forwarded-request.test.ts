import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { send, type Client } from '../support/client.ts'
import { ORIGIN, PUBLIC_HOST, startService, type Service } from '../support/service.ts'

let s: Service
let alice: Client
before(async () => {
  s = await startService({
    settings: (base) => {
      base['identity_headers'] = { preset: 'oauth2-proxy' }
    },
    routes: (r) => {
      r.routes.push({ id: 'inside', path: '/inside/*', require: { networks: ['10.0.0.0/8'] } })
    },
  })
  alice = await s.signIn()
})
after(() => s.stop())

const code = (res: Response): string | null => res.headers.get('x-bff-error')
const told = {
  'x-forwarded-method': 'GET',
  'x-forwarded-host': PUBLIC_HOST,
  'x-forwarded-uri': '/open/1',
  'x-forwarded-proto': 'http',
}
const check = (headers: Record<string, string | string[]>): Promise<Response> =>
  send(`${s.url}/auth/verify`, { headers: { ...told, ...headers } })

describe('a stranger', () => {
  test('is believed no X-Forwarded-Uri, not even of a public path (CVE-2026-40575), and no host or address', async () => {
    const strange = await startService({
      settings: (base) => {
        base.server['trusted_proxies'] = ['10.9.8.7/32']
      },
    })
    try {
      for (const uri of ['/open/1', '/plain/1', '/auth/callback']) {
        const res = await strange.verify(uri)
        assert.deepEqual([res.status, code(res)], [400, 'BAD_REQUEST'])
      }
      const login = (headers: Record<string, string>): Promise<Response> =>
        send(`${strange.url}/auth/login`, { headers: { accept: 'text/html', ...headers } })
      assert.equal((await login({ 'x-forwarded-host': PUBLIC_HOST })).status, 400)
      const res = await login({ host: PUBLIC_HOST, 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' })
      assert.equal(
        new URL(res.headers.get('location') ?? '').searchParams.get('redirect_uri'),
        `${ORIGIN}/auth/callback`,
      )
      assert.doesNotMatch(res.headers.getSetCookie().join('\n'), /evil|domain=/i)
    } finally {
      await strange.stop()
    }
  })
})

describe('a check', () => {
  test('for the callback or another endpoint of ours is no yes (GHSA-5wcc-hf24-rf5h)', async () => {
    for (const uri of ['/auth/callback', '/auth/callback?code=x&state=y', '/auth/login', '/auth/health', '/auth/x'])
      for (const more of [{}, { 'x-original-uri': '/auth/callback' }, { 'x-original-url': '/open/1' }])
        assert.equal(code(await check({ 'x-forwarded-uri': uri, ...more })), 'NO_ROUTE', uri)
    const res = await check({ 'x-forwarded-uri': '/plain/1', 'x-original-uri': '/auth/callback' })
    assert.equal(code(res), 'NO_SESSION')
  })

  for (const [what, host] of [
    ['two (CVE-2020-25017, CVE-2026-26308)', [PUBLIC_HOST, 'evil.example']],
    ['two of ours', [PUBLIC_HOST, PUBLIC_HOST]],
    ['two on one line', `${PUBLIC_HOST}, evil.example`],
    ['capitals (CVE-2026-48794, CVE-2026-42273)', 'LOCALHOST:8000'],
    ['a trailing dot (CVE-2026-48794)', 'localhost.:8000'],
    ['another port', 'localhost:8001'],
    ['no port', 'localhost'],
    ['a path (CVE-2026-48710)', 'localhost:8000/open/1?x='],
    ['userinfo', 'x@localhost:8000'],
    ['a foreign name', 'evil.example'],
    ['nothing', ''],
  ] as const)
    test(`whose X-Forwarded-Host is ${what} is refused`, async () => {
      const res = await check({ 'x-forwarded-host': host as string })
      assert.deepEqual([res.status, code(res)], [400, 'BAD_REQUEST'])
    })

  test('that names no method, or one that is none, is refused; a spoofed OPTIONS is decided as what it says', async () => {
    for (const method of ['get', '', 'G T', 'GET, POST', 'x'.repeat(200)]) {
      const res = await check({ 'x-forwarded-method': method })
      assert.deepEqual([res.status, code(res)], [400, 'BAD_REQUEST'], JSON.stringify(method))
    }
    const { 'x-forwarded-method': _, ...without } = told
    assert.equal((await send(`${s.url}/auth/verify`, { headers: without })).status, 400)
    const preflight = { origin: 'https://evil.example', 'access-control-request-method': 'GET' }
    for (const uri of ['/plain/1', '/orders/1']) {
      const res = await check({ 'x-forwarded-uri': uri, 'x-forwarded-method': 'OPTIONS', ...preflight })
      assert.deepEqual([res.status, code(res)], [401, 'NO_SESSION'])
    }
  })

  for (const alias of [
    'X_Forwarded_User',
    'X-Auth_Request_User',
    'X_Forwarded_Proto',
    'X.Forwarded.User',
    'Remote_User',
    'X-Forwarded_Groups',
  ])
    test(`with ${alias} is refused where a preset says that name (CVE-2025-64484, CVE-2026-39858, CVE-2026-54763, CVE-2026-88011)`, async () => {
      for (const uri of ['/open/1', '/orders/1']) {
        const res = await check({ 'x-forwarded-uri': uri, [alias]: 'admin', cookie: alice.header('/orders') })
        assert.deepEqual([res.status, code(res)], [400, 'BAD_REQUEST'])
      }
    })

  test('on a public route says nothing of an identity that a client claims', async () => {
    const res = await check({ 'x-user-id': 'admin', 'x-forwarded-user': 'admin', 'x-auth-request-user': 'admin' })
    assert.equal(res.status, 200)
    assert.doesNotMatch(JSON.stringify([...res.headers]), /admin/)
  })

  test('with a spoofed X-Forwarded-For meets no rule about addresses (CVE-2024-47070, CVE-2026-33495, CVE-2026-57210)', async () => {
    const from = async (value: string | string[]): Promise<number> =>
      (await check({ 'x-forwarded-uri': '/inside/1', cookie: alice.header('/inside'), 'x-forwarded-for': value }))
        .status
    for (const value of [
      'a',
      '10.0.0.1, 203.0.113.7',
      '10.0.0.1,',
      '10.0.0.1, a',
      '0x0a000001',
      '10.1',
      '::ffff:a00:1, x',
    ])
      assert.equal(await from(value), 403, value)
    assert.equal(await from('203.0.113.7, 10.0.0.1'), 200, 'what the gateway itself saw')
  })
})

describe('a path (GHSA-7rh7-c77v-6434, GHSA-pxq7-h93f-9jrg, CVE-2026-48020, CVE-2026-42274, CVE-2026-40912, CVE-2026-33494, CVE-2022-22978, CVE-2023-27491)', () => {
  for (const [uri, answer] of [
    ['/plain/x?path=/open/1', 'NO_SESSION'],
    ['/plain/x?/open/1', 'NO_SESSION'],
    ['/plain/x%3f/open/1', 'NO_SESSION'],
    ['/plain/x%23/open/1', 'NO_SESSION'],
    ['/plain/x#/open/1', 'BAD_REQUEST'],
    ['/open/x#/plain/1', 'BAD_REQUEST'],
    ['/open/../plain', 'BAD_REQUEST'],
    ['/open/./plain', 'BAD_REQUEST'],
    ['/open/%2e%2e/plain', 'BAD_REQUEST'],
    ['/open/..%2fplain', 'BAD_REQUEST'],
    ['/open/%252e%252e/plain', 'BAD_REQUEST'],
    ['/open/..;/plain', 'BAD_REQUEST'],
    ['/open/..\\plain', 'BAD_REQUEST'],
    ['/open/..%5cplain', 'BAD_REQUEST'],
    ['/open/x%0a/plain', 'BAD_REQUEST'],
    ['/open/x%0d%0aX-User-ID:%20a', 'BAD_REQUEST'],
    ['//plain', 'BAD_REQUEST'],
    ['/%6fpen/1', 'BAD_REQUEST'],
    ['/OPEN/1', 'NO_ROUTE'],
    ['/openevil', 'NO_ROUTE'],
    ['/open.evil', 'NO_ROUTE'],
    ['open/1', 'BAD_REQUEST'],
    ['http:open/1', 'BAD_REQUEST'],
    ['', 'BAD_REQUEST'],
  ] as const)
    test(`${JSON.stringify(uri)} is ${answer}`, async () => {
      assert.equal(code(await check({ 'x-forwarded-uri': uri })), answer)
    })
})
