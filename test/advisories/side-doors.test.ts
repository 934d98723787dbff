import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { sendBytes } from '../support/bytes.ts'
import { send } from '../support/client.ts'
import { ORIGIN, PUBLIC_HOST, startService, type Service } from '../support/service.ts'

let s: Service
before(async () => {
  s = await startService()
})
after(() => s.stop())

const FORM = { 'x-forwarded-host': PUBLIC_HOST, 'content-type': 'application/x-www-form-urlencoded' }
const NAVIGATION = { 'sec-fetch-mode': 'navigate', accept: 'text/html' }
const code = (res: Response): string | null => res.headers.get('x-bff-error')

const bytes = (url: string, text: string): Promise<string> => sendBytes(Number(new URL(url).port), text)

describe('a cross-site POST to /auth/logout, which comes without the cookie (SameSite=Lax)', () => {
  for (const [from, headers] of Object.entries({
    'a foreign Origin': { origin: 'https://evil.example' },
    'Origin: null': { origin: 'null' },
    'Sec-Fetch-Site: cross-site without an Origin': { 'sec-fetch-site': 'cross-site' },
  })) {
    test(`expires no cookie and leads nowhere: ${from}`, async () => {
      for (const more of [NAVIGATION, {}]) {
        const res = await send(`${s.url}/auth/logout`, {
          method: 'POST',
          headers: { ...FORM, ...headers, ...more },
          body: '',
        })
        assert.equal(res.status, 403)
        assert.equal(code(res), 'CSRF_FAILED')
        assert.deepEqual(res.headers.getSetCookie(), [])
        assert.equal(res.headers.get('location'), null)
      }
    })
  }

  test('while from our own origin, or from a program, no session left is success', async () => {
    for (const headers of [{ origin: ORIGIN, 'sec-fetch-site': 'same-origin' }, {}]) {
      const res = await send(`${s.url}/auth/logout`, { method: 'POST', headers: { ...FORM, ...headers }, body: '' })
      assert.equal(res.status, 200)
      assert.match(res.headers.getSetCookie().join('\n'), /bff_session=;/)
    }
  })
})

describe('the admin listener', () => {
  for (const target of ['//', '//x', '/\\', 'http://[', '*', '/%zz', '//ready?scope=local']) {
    test(`survives GET ${target}`, async () => {
      const got = await bytes(s.adminUrl, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      assert.match(got, /^HTTP\/1\.1 (?:400|404) /)
      assert.equal((await send(`${s.adminUrl}/health`)).status, 200)
    })
  }
})

describe('a WebSocket handshake to an endpoint of ours', () => {
  const HANDSHAKE = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
    'x-forwarded-host': PUBLIC_HOST,
    origin: ORIGIN,
  }
  for (const path of ['/auth/login', '/auth/nothing', '/auth/callback?state=x', '/api/auth/session', '/auth/verify']) {
    test(`${path} is answered here, and switches to nothing`, async () => {
      const status = await new Promise<number>((resolve, reject) => {
        const req = request(s.url, { path, headers: HANDSHAKE, agent: false }, (res) => {
          res.resume()
          resolve(res.statusCode ?? 0)
        })
        req.on('upgrade', (_res, socket) => {
          socket.destroy()
          resolve(101)
        })
        req.on('error', reject)
        req.end()
      })
      assert.ok(status === 400 || status === 404, String(status))
    })
  }
})

describe('nothing about a request but its session opens a session route (CVE-2024-22257)', () => {
  for (const [what, uri, headers] of [
    [
      'the User-Agent of a health check (GHSA-5hvv-m4w4-gf6v, CVE-2026-34457)',
      '/plain/1',
      { 'user-agent': 'kube-probe/1.30' },
    ],
    ['another one', '/plain/1', { 'user-agent': 'GoogleHC/1.0' }],
    ['an event stream', '/plain/1', { accept: 'text/event-stream' }],
    ['Authorization: Bearer junk (CVE-2022-29226)', '/plain/1', { authorization: 'Bearer junk' }],
    ['Authorization: Basic', '/plain/1', { authorization: 'Basic YTpi' }],
    ['?access_token= (CVE-2022-29226)', '/plain/1?access_token=junk', {}],
    ['a callback query', '/plain/1?code=x&state=y', {}],
    ['a logout query', '/plain/1?logout=true', {}],
    ['HTTP2-Settings (CVE-2026-88008)', '/plain/1', { 'http2-settings': 'AAMAAABkAAQAAP__' }],
    [
      'X-Original-URI of a public path (GHSA-5wcc-hf24-rf5h)',
      '/plain/1',
      { 'x-original-uri': '/open/1', 'x-original-url': '/open/1' },
    ],
    ['X-Rewrite-URL', '/plain/1', { 'x-rewrite-url': '/open/1' }],
    ['X-Forwarded-Prefix (CVE-2024-52003, CVE-2026-35051)', '/plain/1', { 'x-forwarded-prefix': '/open' }],
    ['X-HTTP-Method-Override', '/plain/1', { 'x-http-method-override': 'OPTIONS' }],
    [
      'the words of a preflight',
      '/plain/1',
      { 'access-control-request-method': 'GET', origin: 'https://evil.example' },
    ],
  ] as const) {
    test(`${what} does not`, async () => {
      const res = await s.verify(uri, { headers })
      assert.equal(res.status, 401)
      assert.equal(res.headers.get('authorization'), null)
    })
  }

  test('an upgrade to h2c switches to nothing, on a check and on an endpoint (CVE-2026-88008)', async () => {
    const upgrade =
      'Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n'
    const check = `GET /auth/verify HTTP/1.1\r\nHost: x\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Host: ${PUBLIC_HOST}\r\nX-Forwarded-Uri: /plain/1\r\n`
    assert.match(await bytes(s.url, check + upgrade), /^HTTP\/1\.1 401 /)
    const endpoint = `GET /auth/csrf HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\n`
    assert.match(await bytes(s.url, endpoint + upgrade), /^HTTP\/1\.1 40[14] /)
    assert.doesNotMatch(await bytes(s.url, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), /HTTP\/1\.1 [123]/)
  })

  test('a spoofed OPTIONS, a lower-case or foreign method does not', async () => {
    for (const method of ['OPTIONS', 'get', 'FOO', 'CONNECT', 'TRACE'])
      assert.ok([400, 401].includes((await s.verify('/plain/1', { method })).status), method)
  })

  test('our own endpoints as the target of a check are no route', async () => {
    for (const uri of ['/auth/callback', '/auth/login', '/auth/verify', '/auth/health', '/auth/x'])
      assert.notEqual((await s.verify(uri)).status, 200, uri)
  })

  test('trailers carry nothing that is read (CVE-2026-88004)', async () => {
    const got = await bytes(
      s.url,
      `POST /auth/logout HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nX-Forwarded-Host: ${PUBLIC_HOST}\r\nOrigin: https://evil.example\r\nTransfer-Encoding: chunked\r\nTrailer: Origin\r\nConnection: close\r\n\r\n0\r\nOrigin: ${ORIGIN}\r\n\r\n`,
    )
    assert.match(got, /^HTTP\/1\.1 403 /)
  })
})
