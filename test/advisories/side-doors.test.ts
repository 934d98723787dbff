import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
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

/** What a server answers to these bytes; it must close the connection by itself. */
function bytes(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect(Number(port), hostname, () => socket.write(text))
    socket.on('data', (c: Buffer) => chunks.push(c))
    socket.on('error', reject)
    socket.on('close', () => resolve(Buffer.concat(chunks).toString()))
  })
}

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
