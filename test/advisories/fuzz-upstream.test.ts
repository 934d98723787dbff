import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { startRawUpstream, startUpstream, type Upstream } from '../proxy/upstream.ts'
import { sendBytes } from '../support/bytes.ts'
import { ORIGIN, PUBLIC_HOST, startService, type Service } from '../support/service.ts'

interface Said {
  readonly head: string
  readonly body: string
  /** Where what is sent falls apart, and how it ends. */
  readonly cut: number
  readonly end: 'end' | 'destroy' | 'stay'
}

let said: Said
let raw: Awaited<ReturnType<typeof startRawUpstream>>
let good: Upstream
let s: Service
before(async () => {
  raw = await startRawUpstream(say)
  good = await startUpstream()
  s = await startService({
    routes: (r) => {
      r.services['raw'] = { base_url: raw.url }
      r.services['good'] = { base_url: good.url }
      for (const id of ['raw', 'good'])
        r.routes.push({
          id: `api-${id}`,
          path: `/api/${id}/*`,
          auth: 'public',
          target_service: id,
          upstream_path: '/{path}',
          ...(id === 'raw' ? { timeout: '150ms' } : {}),
        })
    },
  })
})
after(async () => {
  await s.stop()
  await raw.close()
  await good.close()
})

function say(socket: Socket): void {
  const all = Buffer.from(said.head + said.body, 'latin1')
  socket.write(all.subarray(0, said.cut), () => {
    if (socket.destroyed) return
    socket.write(all.subarray(said.cut), () => {
      if (said.end === 'end') socket.end()
      else if (said.end === 'destroy') socket.destroy()
      // One that stays is ended by us: a body without a length would never be whole.
      else setTimeout(() => socket.destroy(), 200).unref()
    })
  })
}

const OURS = ['bff_session', '_csrf_token', 'bff_login_x', '__Host-bff_session', 'BFF_SESSION']
const text = (maxLength: number): fc.Arbitrary<string> =>
  fc.string({
    unit: fc
      .oneof(
        { weight: 9, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) },
        { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xff }) },
      )
      .map((c) => String.fromCharCode(c)),
    maxLength,
  })
const cookie = fc
  .tuple(
    fc.constantFrom('', ' ', '\t', '=', '"', ';'),
    fc.constantFrom(...OURS, 'lang'),
    fc.constantFrom('=', ' =', '', '"=', ';'),
    text(8),
  )
  .map((p) => p.join(''))
const header = fc.oneof(
  fc.tuple(fc.constantFrom('Set-Cookie', 'set-cookie', 'SET-COOKIE'), cookie),
  fc.tuple(fc.constantFrom('X-BFF-Error', 'x-bff-error', 'X_BFF_Error'), fc.constantFrom('NO_SESSION', 'x', '')),
  fc.tuple(
    fc.constant('Content-Length'),
    fc.oneof(fc.nat(40).map(String), fc.constantFrom('-1', '+3', '3, 3', '3,4', 'x', '1e2', '99999999999999999999')),
  ),
  fc.tuple(
    fc.constantFrom('Transfer-Encoding', 'transfer-encoding '),
    fc.constantFrom('chunked', 'gzip, chunked', 'chunked, gzip', 'identity', 'xchunked', ' chunked', ''),
  ),
  fc.tuple(
    fc.constantFrom('Connection', 'Trailer', 'Upgrade', 'Keep-Alive'),
    fc.constantFrom('close', 'keep-alive', 'Set-Cookie', 'upgrade', 'websocket', 'h2c', 'X-BFF-Error, Content-Length'),
  ),
  fc.tuple(
    fc.constantFrom('Location', 'Content-Location', 'Content-Type', 'Link'),
    fc.oneof(text(40), fc.constantFrom('text/event-stream', '//x', 'http://[', 'x'.repeat(9000))),
  ),
  fc.tuple(text(12), text(20)),
)
const line = header.map(([name, value]) => `${name}: ${value}`)
const status = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(200, 204, 205, 206, 302, 304, 401, 404, 500, 599).map((n) => `HTTP/1.1 ${n} Said`),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'HTTP/1.1 100 Continue',
      'HTTP/1.1 101 Switching',
      'HTTP/1.1 103 Early',
      'HTTP/1.1 099 Odd',
      'HTTP/1.1 600 Odd',
      'HTTP/1.1 999 Odd',
      'HTTP/1.0 200 OK',
      'HTTP/1.1 200',
      'HTTP/2 200',
      'HTTP/1.1 2000 x',
      'ICY 200 OK',
    ),
  },
  { weight: 1, arbitrary: text(30) },
)
const body = fc.oneof(
  text(60),
  fc
    .array(text(10), { maxLength: 3 })
    .map((parts) => `${parts.map((p) => `${p.length.toString(16)}\r\n${p}\r\n`).join('')}0\r\n\r\n`),
  fc.constantFrom(
    '0\r\nSet-Cookie: bff_session=x\r\nX-BFF-Error: NO_SESSION\r\n\r\n',
    'zz\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  ),
)
const answer: fc.Arbitrary<Said> = fc
  .tuple(
    fc.array(status, { minLength: 1, maxLength: 2 }),
    fc.array(line, { maxLength: 8 }),
    fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r'),
    body,
    fc.nat(200),
    fc.constantFrom<Said['end']>('end', 'end', 'destroy', 'stay'),
  )
  .map(([states, lines, eol, b, cut, end]) => ({
    head: states.map((st, i) => [st, ...(i === states.length - 1 ? lines : []), '', ''].join(eol)).join(''),
    body: b,
    cut,
    end,
  }))

/** The heads of what came, interim ones first; what is behind the last of them is body. */
function heads(got: string): string[] {
  const found: string[] = []
  let at = 0
  for (;;) {
    const stop = got.indexOf('\r\n\r\n', at)
    if (stop === -1) return found
    found.push(got.slice(at, stop))
    at = stop + 4
    if (!/^HTTP\/1\.1 1(?!01)\d\d /.test(found.at(-1) ?? '')) return found
  }
}

function check(got: string): void {
  // A cut before the head is an answer too.
  if (got === '') return
  const all = heads(got)
  assert.ok(all.length > 0, got.slice(0, 200))
  for (const head of all) {
    const [first = '', ...lines] = head.split('\r\n')
    // The answer to a handshake keeps the version of its upstream.
    assert.match(first, /^HTTP\/1\.[01] [1-5]\d\d /)
    for (const l of lines) {
      assert.match(l, /^[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\0\r\n]*$/)
      const [name, value] = [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 2)]
      if (name === 'x-bff-error') assert.equal(value, 'UPSTREAM_UNAVAILABLE')
      if (name !== 'set-cookie') continue
      const pair = value.split(';')[0] ?? ''
      const cut = pair.indexOf('=')
      // What a browser would send back for it.
      const back = cut === -1 ? pair.trim() : cut === 0 ? pair.slice(1).trim() : `${pair.slice(0, cut).trim()}=`
      assert.doesNotMatch(
        back,
        /^(?:__(?:Host|Secure)-)?(?:bff_session|_csrf_token|bff_login[^=]*)[ \t]*(?:=|$)/i,
        value,
      )
    }
  }
}

async function stillFine(): Promise<void> {
  const res = await s.client().get('/api/good/1')
  assert.equal(res.status, 200)
  assert.match(await res.text(), /"url":"\/1"/)
  assert.deepEqual(
    s.logs.filter((l) => l['msg'] === 'bug'),
    [],
  )
}

const ask = (more: string, path = '/api/raw/1', method = 'GET'): Promise<string> =>
  sendBytes(Number(new URL(s.url).port), `${method} ${path} HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\n${more}\r\n`)

test('whatever an upstream answers, it is passed on clean or refused, and the next request is fine', async () => {
  await fc.assert(
    fc.asyncProperty(answer, fc.constantFrom('GET', 'HEAD', 'POST'), async (a, method) => {
      said = a
      check(await ask('Connection: close\r\n', '/api/raw/1', method))
      await stillFine()
    }),
    { numRuns: 200 },
  )
})

test('whatever an upstream answers to a handshake, it is switched to WebSocket, passed on clean or refused', async () => {
  const handshake = `Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: ${ORIGIN}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`
  const switched = answer.map((a) => ({ ...a, head: a.head.replace(/^HTTP\/1\.1 (?:200|204)/, 'HTTP/1.1 101') }))
  await fc.assert(
    fc.asyncProperty(fc.oneof(answer, switched), async (a) => {
      said = a
      const got = await ask(handshake)
      check(got)
      if (got.startsWith('HTTP/1.1 101')) assert.match(got, /\r\nupgrade: websocket\r\n/i)
      await stillFine()
    }),
    { numRuns: 150 },
  )
})
