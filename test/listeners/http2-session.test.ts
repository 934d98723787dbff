import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Session, type Settings } from 'node:http2'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import type { Answer } from '../../middleware/types.ts'
import { frame, FrameClient, PREFACE } from '../support/frames.ts'
import { OK, openHttp2Door, type Http2Door } from '../support/http2-door.ts'

const closing: (() => void)[] = []
after(() => {
  for (const close of closing) close()
})

async function door(...o: Parameters<typeof openHttp2Door>): Promise<Http2Door> {
  const at = await openHttp2Door(...o)
  closing.push(at.close)
  return at
}

async function client(port: number, settings?: Settings): Promise<ClientHttp2Session> {
  const session = connectHttp2(`http://127.0.0.1:${port}`, settings === undefined ? {} : { settings })
  session.on('error', () => undefined)
  closing.push(() => session.destroy())
  await once(session, 'remoteSettings')
  return session
}

interface Got {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Buffer
}

function ask(session: ClientHttp2Session, headers: Record<string, string | string[]>, body?: Buffer): Promise<Got> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined })
    const parts: Buffer[] = []
    let got: Omit<Got, 'body'> | undefined
    stream.on('response', (h) => (got = { status: h[':status'], headers: h }))
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.once('error', reject)
    stream.once('close', () => {
      if (got === undefined) reject(new Error('no answer'))
      else resolve({ ...got, body: Buffer.concat(parts) })
    })
    if (body !== undefined) stream.end(body)
  })
}

const DATA = 0
const HEADERS = 1
const RST_STREAM = 3
const SETTINGS = 4
const PING = 6
const GOAWAY = 7
const WINDOW_UPDATE = 8
/** Error codes (RFC 9113 §7). */
const PROTOCOL = 1
const FLOW_CONTROL = 3
const CLOSED = 5
const SIZE = 6
const REFUSED = 7
const COMPRESSION = 9
const CALM = 11
/** `:method GET`, `:scheme https`, `:path /`. */
const GET = [0x82, 0x87, 0x84]
/** `:method POST` and the others. */
const POST = [0x83, 0x87, 0x84]
/** A field as text, kept by nobody. */
const field = (name: string, value: string): number[] => [
  0,
  name.length,
  ...Buffer.from(name),
  value.length,
  ...Buffer.from(value),
]
const get = (stream: number): Buffer => frame(HEADERS, 5, stream, GET)
const post = (stream: number): Buffer => frame(HEADERS, 4, stream, POST)
const word = (n: number): number[] => [n >>> 24, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff]
const set = (name: number, value: number): number[] => [0, name, ...word(value)]

describe('whatever a client of nghttp2 sends is understood, and what it is answered is understood by it', () => {
  const name = fc.stringMatching(/^x-[a-z0-9_.-]{0,12}$/)
  const value = fc.oneof(
    fc.stringMatching(/^(?:[!-~]{0,40}|[!-~][ -~]{0,60}[!-~])$/),
    fc.integer({ min: 0, max: 3000 }).map((n) => 'v'.repeat(n)),
  )
  const headers = fc.dictionary(name, value, { maxKeys: 12 })
  const exchange = fc.record({
    path: fc.stringMatching(/^\/[!-~]{0,30}$/).filter((path) => !path.includes('#')),
    headers,
    cookies: fc.array(fc.stringMatching(/^[a-z]{1,5}=[!-:<-~]{0,20}$/), { maxLength: 4 }),
    body: fc.option(fc.integer({ min: 0, max: 200_000 }), { nil: undefined }),
    method: fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS'),
    answer: fc.record({
      status: fc.constantFrom(200, 302, 400, 401, 403, 503),
      headers,
      body: fc.integer({ min: 0, max: 100_000 }),
      late: fc.boolean(),
    }),
  })
  const settings = fc.record({
    headerTableSize: fc.constantFrom(0, 50, 300, 4096, 65_536),
    initialWindowSize: fc.constantFrom(1000, 65_535, 1_000_000),
  })

  test('any headers, bodies and answers, several at once, at any size of its table and window', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(exchange, { minLength: 1, maxLength: 5 }), settings, async (exchanges, theirs) => {
        const at = await door((request) => {
          const i = request.lines.indexOf('x-nr')
          const { answer } = exchanges[Number(request.lines[i + 1])] ?? assert.fail()
          const a: Answer = {
            status: answer.status,
            headers: [...Object.entries(answer.headers), ['Set-Cookie', 'a=1'], ['Set-Cookie', 'b=2']],
            ...(answer.body === 0 ? {} : { body: 'b'.repeat(answer.body) }),
          }
          return answer.late ? new Promise((resolve) => setImmediate(() => resolve(a))) : a
        })
        const session = await client(at.port, theirs)
        // Twice over: the second time much is in the tables of both.
        for (let round = 0; round < 2; round += 1) {
          at.requests.length = 0
          const got = await Promise.all(
            exchanges.map((x, i) => {
              const told = { ...x.headers, cookie: x.cookies, 'x-nr': String(i) }
              const isBodied = x.method === 'POST' && x.body !== undefined
              const body = isBodied ? Buffer.alloc(x.body ?? 0, 'r') : undefined
              return ask(session, { ':method': x.method, ':path': x.path, ...told }, body)
            }),
          )
          for (const [i, x] of exchanges.entries()) {
            const { lines, count, size } =
              at.requests.find((r) => Number(r.lines[r.lines.indexOf('x-nr') + 1]) === i) ?? assert.fail()
            assert.equal(count, lines.length / 2)
            assert.equal(size, lines.join('').length)
            const pairs = lines.flatMap((text, at) => (at % 2 === 0 ? [[text, lines[at + 1] ?? ''] as const] : []))
            const read = pairs.filter(([name]) => name.startsWith('x-') || name === 'cookie').sort()
            const sent = [
              ...Object.entries(x.headers),
              ...x.cookies.map((c) => ['cookie', c]),
              ['x-nr', String(i)],
            ].sort()
            assert.deepEqual(read, sent)
            assert.equal(new Map(pairs).get(':path'), x.path)
            assert.equal(new Map(pairs).get(':method'), x.method)
            const { status, headers, body } = got[i] ?? assert.fail()
            assert.equal(status, x.answer.status)
            assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2'])
            for (const [name, value] of Object.entries(x.answer.headers)) assert.equal(headers[name], value)
            assert.equal(body.length, x.method === 'HEAD' ? 0 : x.answer.body)
          }
        }
        session.destroy()
        assert.deepEqual(at.bugs, [])
      }),
      { numRuns: 60 },
    )
  })

  test('however its bytes are cut', async () => {
    const at = await door()
    const c = await FrameClient.open(at.port, Buffer.alloc(0))
    const all = Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), get(1), post(3), frame(DATA, 1, 3, [1, 2]), get(5)])
    for (const byte of all) {
      c.send(Uint8Array.of(byte))
      await new Promise((resolve) => setImmediate(resolve))
    }
    for (const stream of [1, 3, 5])
      assert.ok((await c.next((f) => f.type === HEADERS && f.stream === stream)) !== undefined, String(stream))
  })
})

describe('a fault of the connection ends it with the code of RFC 9113', () => {
  const begin = [PREFACE, frame(SETTINGS, 0, 0)]
  const cases: readonly (readonly [string, number, readonly Buffer[]])[] = [
    ['no preface (§3.4)', PROTOCOL, [Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
    ['another first frame than SETTINGS (§3.4)', PROTOCOL, [PREFACE, get(1)]],
    ['an acknowledgement as the first frame', PROTOCOL, [PREFACE, frame(SETTINGS, 1, 0)]],
    ['a frame larger than 16,384 bytes (§4.2)', SIZE, [...begin, frame(DATA, 0, 1, [], 16_385)]],
    ['a header block that cannot be read (§4.3)', COMPRESSION, [...begin, frame(HEADERS, 5, 1, [0x80])]],
    ['a stream of an even number (§5.1.1)', PROTOCOL, [...begin, get(2)]],
    ['stream 0 for a request', PROTOCOL, [...begin, get(0)]],
    ['a smaller number than before (§5.1.1)', PROTOCOL, [...begin, get(5), get(3)]],
    ['headers on a stream that is over (§5.1)', CLOSED, [...begin, get(1), get(1)]],
    ['a body on stream 0 (§6.1)', PROTOCOL, [...begin, frame(DATA, 0, 0, [1])]],
    ['a body of a stream that nobody opened (§5.1)', PROTOCOL, [...begin, frame(DATA, 0, 1, [1])]],
    ['more padding than frame (§6.1)', PROTOCOL, [...begin, post(1), frame(DATA, 8, 1, [2, 0])]],
    ['more padding than headers (§6.2)', PROTOCOL, [...begin, frame(HEADERS, 13, 1, [9, ...GET])]],
    ['a stream that depends on itself', PROTOCOL, [...begin, frame(HEADERS, 0x25, 1, [...word(1), 0, ...GET])]],
    ['priority of stream 0 (§6.3)', PROTOCOL, [...begin, frame(2, 0, 0, [0, 0, 0, 1, 0])]],
    ['priority of another length', SIZE, [...begin, frame(2, 0, 1, [0, 0, 0, 1])]],
    ['a reset of stream 0 (§6.4)', PROTOCOL, [...begin, frame(RST_STREAM, 0, 0, word(8))]],
    ['a reset of a stream that nobody opened', PROTOCOL, [...begin, frame(RST_STREAM, 0, 1, word(8))]],
    ['a reset of another length', SIZE, [...begin, post(1), frame(RST_STREAM, 0, 1, [8])]],
    ['settings of a stream (§6.5)', PROTOCOL, [...begin, frame(SETTINGS, 0, 1)]],
    ['settings of another length', SIZE, [...begin, frame(SETTINGS, 0, 0, [1])]],
    ['an acknowledgement with something in it', SIZE, [...begin, frame(SETTINGS, 1, 0, set(1, 1))]],
    ['a push that is neither on nor off (§6.5.2)', PROTOCOL, [...begin, frame(SETTINGS, 0, 0, set(2, 2))]],
    ['a window larger than any (§6.5.2)', FLOW_CONTROL, [...begin, frame(SETTINGS, 0, 0, set(4, 2 ** 31))]],
    ['frames smaller than the least (§6.5.2)', PROTOCOL, [...begin, frame(SETTINGS, 0, 0, set(5, 16_383))]],
    ['frames larger than any', PROTOCOL, [...begin, frame(SETTINGS, 0, 0, set(5, 2 ** 24))]],
    ['a promise (§6.6)', PROTOCOL, [...begin, frame(5, 4, 1, [0, 0, 0, 2, ...GET])]],
    ['a ping of a stream (§6.7)', PROTOCOL, [...begin, frame(PING, 0, 1, [...word(0), ...word(0)])]],
    ['a ping of another length', SIZE, [...begin, frame(PING, 0, 0, word(0))]],
    ['a goodbye of a stream (§6.8)', PROTOCOL, [...begin, frame(GOAWAY, 0, 1, [...word(0), ...word(0)])]],
    ['a window update of nothing (§6.9)', PROTOCOL, [...begin, frame(WINDOW_UPDATE, 0, 0, word(0))]],
    ['a window update of another length', SIZE, [...begin, frame(WINDOW_UPDATE, 0, 0, [1])]],
    ['a window that runs over (§6.9.1)', FLOW_CONTROL, [...begin, frame(WINDOW_UPDATE, 0, 0, word(2 ** 31 - 1))]],
    ['a window of a stream that nobody opened', PROTOCOL, [...begin, frame(WINDOW_UPDATE, 0, 1, word(1))]],
    ['a continuation of nothing (§6.10)', PROTOCOL, [...begin, frame(9, 4, 1, GET)]],
    ['a continuation of another stream', PROTOCOL, [...begin, frame(HEADERS, 1, 1, GET), frame(9, 4, 3)]],
    ['another frame between headers (§6.10)', PROTOCOL, [...begin, frame(HEADERS, 1, 1, GET), frame(SETTINGS, 0, 0)]],
    [
      'a header block of more than 128 kB (CVE-2024-27316)',
      CALM,
      [...begin, frame(HEADERS, 1, 1, GET), ...Array.from({ length: 9 }, () => frame(9, 0, 1, new Uint8Array(16_000)))],
    ],
    [
      'a header block in crumbs',
      CALM,
      [...begin, frame(HEADERS, 1, 1, GET), ...Array.from({ length: 64 }, () => frame(9, 0, 1))],
    ],
    [
      'resets without end (CVE-2023-44487)',
      CALM,
      [
        ...begin,
        ...Array.from({ length: 1001 }, (_, i) => [post(2 * i + 1), frame(RST_STREAM, 0, 2 * i + 1, word(8))]).flat(),
      ],
    ],
    [
      'faults of its streams without end, each of them a reset of ours (CVE-2025-8671)',
      CALM,
      [...begin, ...Array.from({ length: 1001 }, (_, i) => frame(HEADERS, 5, 2 * i + 1, [0x82]))],
    ],
    [
      'pings without end (CVE-2019-9512)',
      CALM,
      [...begin, ...Array.from({ length: 1001 }, () => frame(PING, 0, 0, [...word(0), ...word(0)]))],
    ],
    [
      'settings without end (CVE-2019-9515)',
      CALM,
      [...begin, ...Array.from({ length: 1001 }, () => frame(SETTINGS, 0, 0))],
    ],
    [
      'empty frames without end (CVE-2019-9518)',
      CALM,
      [...begin, post(1), ...Array.from({ length: 1001 }, () => frame(DATA, 0, 1))],
    ],
  ]
  for (const [name, code, frames] of cases)
    test(name, async () => {
      const at = await door()
      const c = await FrameClient.open(at.port, Buffer.concat(frames))
      const goodbye = await c.next((f) => f.type === GOAWAY)
      assert.equal(goodbye?.payload.readUInt32BE(4), code)
      assert.equal(await c.next(() => false), undefined, 'the connection ends')
      assert.deepEqual(at.bugs, [])
    })
})

describe('a fault of one stream ends that stream, and the session goes on', () => {
  const cases: readonly (readonly [string, number, readonly Buffer[]])[] = [
    ['no method (§8.3.1)', PROTOCOL, [frame(HEADERS, 5, 1, [0x87, 0x84])]],
    ['no scheme', PROTOCOL, [frame(HEADERS, 5, 1, [0x82, 0x84])]],
    ['no path', PROTOCOL, [frame(HEADERS, 5, 1, [0x82, 0x87])]],
    ['an empty path', PROTOCOL, [frame(HEADERS, 5, 1, [0x82, 0x87, 0x04, 0])]],
    ['a path that is none', PROTOCOL, [frame(HEADERS, 5, 1, [0x82, 0x87, 0x04, 1, 0x61])]],
    ['a name in upper case (§8.2.1)', PROTOCOL, [frame(HEADERS, 5, 1, [...GET, ...field('A', 'b')])]],
    ['a field of one connection (§8.2.2)', PROTOCOL, [frame(HEADERS, 5, 1, [...GET, ...field('connection', 'a')])]],
    [
      'a length of what does not come (§8.1.1)',
      PROTOCOL,
      [frame(HEADERS, 5, 1, [...POST, ...field('content-length', '1')])],
    ],
    ['a length that is none', PROTOCOL, [frame(HEADERS, 4, 1, [...POST, ...field('content-length', '+1')])]],
    [
      'two lengths',
      PROTOCOL,
      [frame(HEADERS, 4, 1, [...POST, ...field('content-length', '1'), ...field('content-length', '1')])],
    ],
    [
      'a body shorter than its length',
      PROTOCOL,
      [frame(HEADERS, 4, 1, [...POST, ...field('content-length', '2')]), frame(DATA, 1, 1, [1])],
    ],
    [
      'a body longer than its length',
      PROTOCOL,
      [frame(HEADERS, 4, 1, [...POST, ...field('content-length', '2')]), frame(DATA, 1, 1, [1, 2, 3])],
    ],
    ['trailers that do not end it (§8.1)', PROTOCOL, [post(1), frame(HEADERS, 4, 1, field('a', 'b'))]],
    ['a pseudo field in trailers (§8.1)', PROTOCOL, [post(1), frame(HEADERS, 5, 1, [0x82])]],
    ['a body behind its end (§5.1)', CLOSED, [get(1), frame(DATA, 0, 1, [1])]],
    ['a window update of nothing (§6.9)', PROTOCOL, [post(1), frame(WINDOW_UPDATE, 0, 1, word(0))]],
    ['a window that runs over (§6.9.1)', FLOW_CONTROL, [post(1), frame(WINDOW_UPDATE, 0, 1, word(2 ** 31 - 1))]],
  ]
  for (const [name, code, frames] of cases)
    test(name, async () => {
      const at = await door()
      const c = await FrameClient.open(at.port)
      c.send(...frames)
      const reset = await c.next((f) => f.type === RST_STREAM || f.type === GOAWAY)
      assert.deepEqual([reset?.type, reset?.payload.readUInt32BE(0)], [RST_STREAM, code])
      c.send(get(101))
      assert.ok((await c.next((f) => f.type === HEADERS && f.stream === 101)) !== undefined)
    })

  test('more at once than may be (§5.1.2), until another is over', async () => {
    const at = await door()
    const c = await FrameClient.open(at.port)
    c.send(...[1, 3, 5, 7, 9, 11].map(post))
    const reset = await c.next((f) => f.type === RST_STREAM)
    assert.deepEqual([reset?.stream, reset?.payload.readUInt32BE(0)], [11, REFUSED])
    c.send(frame(DATA, 1, 1), get(13))
    assert.ok((await c.next((f) => f.type === HEADERS && f.stream === 13)) !== undefined)
  })

  test('what comes of it later is passed over, and its headers still count for the next ones (RFC 7541 §2.2)', async () => {
    const at = await door()
    const c = await FrameClient.open(at.port)
    // Reset for its path; then more of it: a body, and trailers that are kept in the table.
    c.send(frame(HEADERS, 4, 1, [0x83, 0x87, 0x04, 1, 0x61]))
    await c.next((f) => f.type === RST_STREAM)
    c.send(frame(DATA, 0, 1, [1]), frame(HEADERS, 5, 1, [0x40, 3, ...Buffer.from('x-a'), 1, 0x62]))
    c.send(frame(HEADERS, 5, 3, [...GET, 0xbe]))
    assert.ok((await c.next((f) => f.type === HEADERS && f.stream === 3)) !== undefined)
    assert.deepEqual(at.requests.at(-1)?.lines.slice(-2), ['x-a', 'b'])
  })
})

describe('answers', () => {
  const gate = (): { serve: () => Promise<Answer>; open: (a?: Answer) => void } => {
    const waiting: ((a: Answer) => void)[] = []
    return {
      serve: () => new Promise((resolve) => waiting.push(resolve)),
      open: (a = OK) => waiting.shift()?.(a),
    }
  }
  const isHeadOf = (stream: number) => (f: { type: number; stream: number }) =>
    f.type === HEADERS && f.stream === stream

  test('to a stream that its client has given up there is none', async () => {
    const { serve, open } = gate()
    const at = await door(serve)
    const c = await FrameClient.open(at.port)
    c.send(get(1), frame(RST_STREAM, 0, 1, word(8)), get(3), frame(PING, 0, 0, [...word(1), ...word(2)]))
    await c.next((f) => f.type === PING)
    open()
    open()
    assert.equal((await c.next((f) => f.type === HEADERS))?.stream, 3)
  })

  test('in the making count, also those of streams that were given up', async () => {
    const { serve, open } = gate()
    const at = await door(serve)
    const c = await FrameClient.open(at.port)
    for (const stream of [1, 3, 5, 7, 9]) c.send(get(stream), frame(RST_STREAM, 0, stream, word(8)))
    c.send(get(11))
    assert.equal((await c.next((f) => f.type === RST_STREAM))?.stream, 11)
    open()
    await new Promise((resolve) => setImmediate(resolve))
    c.send(get(13), frame(PING, 0, 0, [...word(1), ...word(2)]))
    await c.next((f) => f.type === PING)
    for (let i = 0; i < 5; i += 1) open()
    assert.ok((await c.next(isHeadOf(13))) !== undefined)
  })

  test('that nobody could read are a reset and a bug, and the next ones are read as before', async () => {
    let answer: Answer = { status: 200, headers: [['X-Kept', '1']] }
    const at = await door(() => answer)
    const session = await client(at.port)
    assert.equal((await ask(session, { ':path': '/' })).headers['x-kept'], '1')
    for (const bad of [
      ['X-Bad', 'a\r\nx: y'],
      ['bad name', 'a'],
      ['X-Bad', '\u0100'],
    ] as const) {
      answer = { status: 200, headers: [['X-New', 'n'], bad] }
      await assert.rejects(ask(session, { ':path': '/' }), { code: 'ERR_HTTP2_STREAM_ERROR' })
      answer = {
        status: 200,
        headers: [
          ['X-New', 'm'],
          ['X-Kept', '2'],
          ['Connection', 'close'],
        ],
      }
      const { headers } = await ask(session, { ':path': '/' })
      assert.deepEqual([headers['x-new'], headers['x-kept'], headers['connection']], ['m', '2', undefined])
    }
    assert.equal(at.bugs.length, 3)
  })

  test('with more headers than fit into one frame come in several', async () => {
    const long = 'v'.repeat(40_000)
    const at = await door(() => ({
      status: 200,
      headers: [
        ['X-Long', long],
        ['X-After', '1'],
      ],
    }))
    const { headers } = await ask(await client(at.port), { ':path': '/' })
    assert.deepEqual([headers['x-long'] === long, headers['x-after']], [true, '1'])
  })

  test('no token is ever kept in the table of its reader (RFC 7541 §7.1)', async () => {
    const token = `Bearer ${'t'.repeat(900)}`
    const at = await door(() => ({
      status: 200,
      headers: [
        ['Authorization', token],
        ['X-Short', 's'],
      ],
    }))
    const c = await FrameClient.open(at.port)
    const sizes: number[] = []
    for (const stream of [1, 3, 5]) {
      c.send(get(stream))
      sizes.push((await c.next(isHeadOf(stream)))?.payload.length ?? 0)
    }
    const [first = 0, second = 0, third = 0] = sizes
    assert.ok(second > token.length && second === third && first - second === 'x-short'.length + 's'.length + 2)
  })

  test('wait for a client that does not read: it is not read either', async () => {
    const at = await door(() => ({ status: 200, headers: [], body: 'b'.repeat(10_000) }), { maxConcurrentStreams: 1e6 })
    const windows = [frame(SETTINGS, 0, 0, set(4, 2 ** 31 - 1)), frame(WINDOW_UPDATE, 0, 0, word(2 ** 30))]
    const c = await FrameClient.open(at.port, Buffer.concat([PREFACE, ...windows]))
    c.socket.pause()
    const asked = 5000
    c.send(...Array.from({ length: asked }, (_, i) => get(2 * i + 1)))
    let seen = -1
    while (seen !== at.requests.length) {
      seen = at.requests.length
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.ok(seen < asked, String(seen))
    c.socket.resume()
    assert.ok((await c.next((f) => f.type === DATA && f.stream === 2 * asked - 1)) !== undefined)
  })
})

describe('the end of a session', () => {
  test('is announced first, and streams on their way are served', async () => {
    const at = await door()
    const c = await FrameClient.open(at.port)
    c.send(get(1))
    await c.next((f) => f.type === HEADERS)
    at.sessions[0]?.goaway()
    const notice = await c.next((f) => f.type === GOAWAY)
    assert.deepEqual([notice?.payload.readUInt32BE(0), notice?.payload.readUInt32BE(4)], [2 ** 31 - 1, 0])
    c.send(get(3))
    assert.ok((await c.next((f) => f.type === HEADERS && f.stream === 3)) !== undefined)
    at.sessions[0]?.close()
    const last = await c.next((f) => f.type === GOAWAY)
    assert.deepEqual([last?.payload.readUInt32BE(0), last?.payload.readUInt32BE(4)], [3, 0])
    assert.equal(await c.next(() => true), undefined, 'the connection ends')
  })

  test('waits for the answers in hand, and serves no stream that comes after the goodbye', async () => {
    let open: (a: Answer) => void = () => undefined
    const at = await door(() => new Promise((resolve) => (open = resolve)))
    const c = await FrameClient.open(at.port)
    c.send(get(1), frame(PING, 0, 0, [...word(1), ...word(2)]))
    await c.next((f) => f.type === PING)
    at.sessions[0]?.close()
    await c.next((f) => f.type === GOAWAY)
    c.send(get(3), frame(PING, 0, 0, [...word(3), ...word(4)]))
    await c.next((f) => f.type === PING)
    assert.equal(at.requests.length, 1)
    open(OK)
    assert.equal((await c.next((f) => f.type === HEADERS))?.stream, 1)
    assert.equal(await c.next(() => true), undefined, 'the connection ends')
  })

  const begun = Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)])
  for (const [name, bytes] of [
    ['nothing', Buffer.alloc(0)],
    ['half a preface', PREFACE.subarray(0, 10)],
    ['a preface without settings', PREFACE],
    ['half a frame', Buffer.concat([begun, get(1).subarray(0, 10)])],
    ['a header block without its end', Buffer.concat([begun, frame(HEADERS, 1, 1, GET)])],
  ] as const)
    test(`a client that says ${name} and no more is cut after its time`, async () => {
      const at = await door(() => OK, { headersTimeoutMs: 50 })
      const c = await FrameClient.open(at.port, bytes)
      assert.ok((await c.next((f) => f.type === GOAWAY)) !== undefined)
      assert.equal(await c.next(() => true), undefined)
    })
})
