import assert from 'node:assert/strict'
import { validateHeaderValue } from 'node:http'
import { connect, isIP } from 'node:net'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { readingsOf } from '../../middleware/decide/readings.ts'
import { headerValue, joinList } from '../../middleware/identity/header-value.ts'
import { clientAddress, readCookies } from '../../middleware/mouths/request-headers.ts'
import { parseTarget } from '../../middleware/mouths/target.ts'
import { raw } from '../support/raw.ts'
import { PUBLIC_HOST, startService, type Service } from '../support/service.ts'

let s: Service
before(async () => {
  s = await startService()
})
after(() => s.stop())

const RUNS = { numRuns: 60 }
/** What may stand in a header's value on the wire. */
const visible = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((c) => String.fromCharCode(c)),
  maxLength: 200,
})
const mixed = (...words: string[]): fc.Arbitrary<string> =>
  fc.array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 4 })), { maxLength: 12 }).map((p) => p.join(''))

test('whatever stands in a Cookie line, no text that follows a name of ours leaves for an upstream', () => {
  fc.assert(
    fc.property(
      mixed('bff_session', '_csrf_token', 'bff_login_x', '=SECRET', ';', ',', '"', ' ', '$Path', '__Host-'),
      (line) => {
        const read = readCookies([line], 'bff_session')
        assert.ok(read !== 'too_large')
        assert.doesNotMatch(read.forUpstream, /(?:^|[\s;,"'])(?:bff_session|_csrf_token|bff_login_x)"?=SECRET/)
      },
    ),
    { numRuns: 5000 },
  )
})

test('whatever stands in X-Forwarded-For, the client address is an address', () => {
  fc.assert(
    fc.property(
      fc.oneof(mixed('::', 'ffff', '1.2.3.4', '[', ']', ':', '%eth0', ',', '2001:db8'), fc.ipV6(), fc.ipV4()),
      (value) => {
        const ip = clientAddress(raw('/', [['x-forwarded-for', value]]), true, { header: 'X-Forwarded-For', hops: 1 })
        assert.notEqual(isIP(ip), 0, ip)
      },
    ),
    { numRuns: 5000 },
  )
})

test('whatever stands in a target, its readings are found in bounded time and hold no dot segment', () => {
  fc.assert(
    fc.property(mixed('/', '%2F', '%25', '%2e', '..', ';', '%3B', 'a', '25', '?'), (text) => {
      const target = parseTarget(`/${text}`)
      if (target === undefined) return
      for (const reading of readingsOf(target.path) ?? []) assert.doesNotMatch(reading, /\/\/|\/\.\.?(?:\/|$)/)
    }),
    { numRuns: 5000 },
  )
})

test('whatever a claim holds, what becomes a header of it is one line that Node will write and that says the same', () => {
  const text = fc.string({ unit: 'binary', maxLength: 60 })
  const odd = fc.array(
    fc.oneof(text, fc.constantFrom('\r\n', '\0', '\ud800', '\u0085', '\u2028', ' ', '\t', ',', '=?utf-8?q?x?=')),
    {
      maxLength: 6,
    },
  )
  fc.assert(
    fc.property(odd, (parts) => {
      const claim = parts.join('')
      const value = headerValue(claim)
      if (value !== undefined) {
        validateHeaderValue('x-user-name', value)
        assert.equal(Buffer.from(value, 'latin1').toString(), claim)
        assert.doesNotMatch(value, /[\0-\x1f\x7f]/)
      }
      const list = joinList(parts, () => undefined)
      if (list !== undefined) {
        validateHeaderValue('x-user-groups', list)
        const said = Buffer.from(list, 'latin1').toString().split(',')
        assert.ok(
          said.every((group) => parts.includes(group)),
          list,
        )
      }
    }),
    { numRuns: 5000 },
  )
})

test('no check without a session is a yes, whatever its headers say (CVE-2023-33189, CVE-2023-27488)', async () => {
  const names = [
    'x-forwarded-uri',
    'x-forwarded-host',
    'x-forwarded-method',
    'cookie',
    'authorization',
    'origin',
    'accept',
    'x-real-ip',
  ]
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.constantFrom(...names), visible), async (headers) => {
      const uri = headers['x-forwarded-uri']
      if (uri?.startsWith('/open') === true) return
      const res = await s.verify('/plain/1', { headers })
      assert.ok([302, 400, 401, 403].includes(res.status), String(res.status))
    }),
    RUNS,
  )
})

test('no query brings the callback to open a session or to fail on its own', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom('code', 'state', 'iss', 'error', 'x'), fc.string())),
      async (query) => {
        const res = await s.client().page(`/auth/callback?${new URLSearchParams(query).toString()}`)
        assert.ok(res.status >= 400 && res.status < 500, String(res.status))
        assert.doesNotMatch(res.headers.getSetCookie().join(), /bff_session=./)
      },
    ),
    RUNS,
  )
})

test('no text is a logout token', async () => {
  const part = fc.oneof(
    fc.json().map((j) => Buffer.from(j).toString('base64url')),
    fc.string(),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
      const body = new URLSearchParams({ logout_token: parts.join('.') }).toString()
      const res = await s.client().post('/auth/backchannel-logout', body)
      assert.ok(res.status === 400 || res.status === 413, String(res.status))
    }),
    RUNS,
  )
})

test('no handshake without a session is switched', async () => {
  const { hostname, port } = new URL(s.url)
  const handshake = (lines: readonly string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      let got = ''
      const socket = connect(Number(port), hostname, () =>
        socket.write(
          `GET /plain/1 HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nConnection: close, Upgrade\r\n${lines.join('')}\r\n`,
        ),
      )
      socket.on('data', (c: Buffer) => (got += c.toString('latin1')))
      socket.on('error', reject)
      socket.on('close', () => resolve(got))
    })
  const line = fc
    .tuple(
      fc.constantFrom('Upgrade', 'Sec-WebSocket-Key', 'Sec-WebSocket-Version', 'Origin', 'Cookie', 'X-Forwarded-Host'),
      fc.oneof(visible, fc.constantFrom('websocket', 'h2c', '13')),
    )
    .map(([name, value]) => `${name}: ${value.trim()}\r\n`)
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 6 }), async (lines) => {
      const got = await handshake(lines)
      assert.match(got, /^HTTP\/1\.1 4\d\d /)
    }),
    RUNS,
  )
})
