import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { echoAtEnd, startUpstream, type Upstream } from '../proxy/upstream.ts'
import { sendBytes } from '../support/bytes.ts'
import { send, type Client } from '../support/client.ts'
import { ORIGIN, PUBLIC_HOST, startService, type Service } from '../support/service.ts'

let up: Upstream
let s: Service
let alice: Client
let csrf = ''
before(async () => {
  up = await startUpstream()
  up.answer = echoAtEnd
  s = await startService({
    settings: (base) => {
      base.server['cors_origins'] = ['https://spa.example']
    },
    routes: (r) => {
      r.services['orders'] = { base_url: up.url }
      r.routes.push({ id: 'api', path: '/api/orders/*', target_service: 'orders', upstream_path: '/v1/{path}' })
    },
  })
  alice = await s.signIn()
  csrf = alice.cookies.get('_csrf_token')?.value ?? ''
})
after(async () => {
  await s.stop()
  await up.close()
})

const say = (text: string, url = s.url): Promise<string> => sendBytes(Number(new URL(url).port), text)
const PROVEN = (): Record<string, string> => ({ 'x-csrf-token': csrf, origin: ORIGIN })

describe('TRACE and CONNECT (RFC 9110 §9.3.8, CVE-2026-71324)', () => {
  for (const method of ['TRACE', 'TRACK', 'CONNECT'])
    test(`${method} is given no token, which an upstream could send back to the browser`, async () => {
      const check = await s.verify('/orders/1', { client: alice, method, headers: PROVEN() })
      assert.deepEqual([check.status, check.headers.get('authorization')], [400, null])
      if (method !== 'CONNECT') {
        const res = await alice.get('/api/orders/1', PROVEN(), { method }).catch(() => undefined)
        assert.equal(res?.status, 400)
      }
      assert.equal(up.seen.length, 0)
    })
})

test('a request that calls itself a handshake and is no GET wants its CSRF token like any other', async () => {
  // Traefik's check comes without Connection and Upgrade.
  const checked = {
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
    origin: ORIGIN,
  }
  for (const method of ['POST', 'DELETE', 'PUT']) {
    const check = await s.verify('/orders/1', { client: alice, method, headers: checked })
    assert.deepEqual([check.status, check.headers.get('x-bff-error')], [403, 'CSRF_FAILED'])
    const handshake = { ...checked, connection: 'Upgrade', upgrade: 'websocket' }
    const res = await alice.get('/api/orders/1', handshake, { method })
    assert.deepEqual([res.status, res.headers.get('x-bff-error')], [403, 'CSRF_FAILED'])
  }
})

test('a preflight that passes brings no Authorization of the client with it', async () => {
  const preflight = {
    origin: 'https://spa.example',
    'access-control-request-method': 'POST',
    authorization: 'Bearer of-mallory',
  }
  const check = await s.verify('/orders/1', { method: 'OPTIONS', headers: preflight })
  assert.deepEqual([check.status, check.headers.get('authorization')], [200, null])
  const res = await s.client().get('/api/orders/1', preflight, { method: 'OPTIONS' })
  assert.equal(res.status, 200)
  assert.equal(up.seen.at(-1)?.headers.authorization, undefined)
})

describe('what Node refuses by itself is told apart from an upstream answer, too', () => {
  for (const [what, text] of Object.entries({
    'an Expect that nobody meets': `GET /api/orders/1 HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nConnection: close\r\nExpect: the-unexpected\r\n\r\n`,
    'no Host': 'GET /api/orders/1 HTTP/1.1\r\nConnection: close\r\n\r\n',
    'two Hosts': `GET /api/orders/1 HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nHost: ${PUBLIC_HOST}\r\nConnection: close\r\n\r\n`,
    'an absolute target': `GET http://${PUBLIC_HOST}/auth/login HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nConnection: close\r\n\r\n`,
    'a header line that is none': `GET /api/orders/1 HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nwhat?\r\n\r\n`,
    'headers without end': `GET /api/orders/1 HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
  }))
    test(what, async () => {
      const got = await say(text)
      assert.match(got, /^HTTP\/1\.1 (?:400|417|431) /)
      assert.match(got, /\r\nX-BFF-Error: BAD_REQUEST\r\n/)
    })
})

test('a body that never comes does not hold an endpoint for ever', { timeout: 60_000 }, async () => {
  const got = await say(
    `POST /auth/logout HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{`,
  )
  assert.match(got, /^HTTP\/1\.1 408 /)
  assert.match(got, /\r\nX-BFF-Error: BAD_REQUEST\r\n/)
})

describe('a web page whose name leads to the admin listener (DNS rebinding)', () => {
  for (const host of ['evil.example:4190', '127.0.0.1.evil.example', 'localhost.evil.example'])
    test(`reads nothing there as ${JSON.stringify(host)}`, async () => {
      for (const path of ['/metrics', '/ready', '/explain?url=/orders/1']) {
        const res = await send(s.adminUrl + path, { headers: { host } })
        assert.equal(res.status, 403, path)
        assert.doesNotMatch(await res.text(), /bff_|orders|provider/)
      }
    })

  test('while whoever is on the machine does, and a probe may call it what it likes', async () => {
    for (const host of ['localhost:4190', '127.0.0.1', '[::1]:4190'])
      assert.equal((await send(`${s.adminUrl}/metrics`, { headers: { host } })).status, 200)
    for (const path of ['/health', '/ready?scope=local'])
      assert.equal((await send(s.adminUrl + path, { headers: { host: 'pod-7' } })).status, 200)
  })
})
