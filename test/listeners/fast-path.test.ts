import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect, createServer as createNetServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, test } from 'node:test'
import { createHttpDoor, SERVER_LIMITS, type HttpDoor } from '../../listeners/door.ts'
import { serveFastPath } from '../../listeners/fast-path.ts'
import { systemClock } from '../../middleware/clock.ts'
import { headOfHttp1, writeHttp1 } from '../../middleware/mouths/http1.ts'
import type { Answer, Maybe } from '../../middleware/types.ts'
import { sendBytes } from '../support/bytes.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const listening = async (server: Server | HttpDoor['server']): Promise<number> => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const said = (by: string, more = ''): Answer => ({
  status: 200,
  headers: [
    ['X-By', by],
    ['Content-Length', String(more.length)],
  ],
  body: more,
})

/** A door that answers `GET /fast…` itself, with what stood behind it, and leaves all else to node:http. */
async function door(answer: (target: string) => Maybe<Answer> = (target) => said(`fast ${target}`)) {
  const d = createHttpDoor(
    {},
    (req, res) => {
      const chunks: Buffer[] = []
      req.on('data', (c: Buffer) => chunks.push(c))
      req.on('end', () => writeHttp1(res, said(`node ${req.url ?? ''}`, Buffer.concat(chunks).toString()), false))
    },
    {
      clock: systemClock,
      traffic: undefined,
      fastPath: ({ target }) => (target.startsWith('/fast') ? answer(target) : undefined),
    },
  )
  let side: Socket | undefined
  d.server.on('connection', (socket) => (side = socket))
  const newest = (): Socket => {
    assert.ok(side)
    return side
  }
  const port = await listening(d.server)
  ends.push(async () => {
    await d.shut()
    await d.finish(AbortSignal.abort())
  })
  return {
    door: d,
    port,
    /** This side of the newest connection. */
    side: newest,
    /** Resolves when so many bytes of the newest connection were read here. */
    taken: async (bytes: number) => {
      while (side === undefined || side.bytesRead < bytes) await new Promise((resolve) => setImmediate(resolve))
    },
    /** Resolves when the newest connection has ended here. */
    gone: async () => {
      while (!newest().destroyed) await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: bff\r\n\r\n`

/** One connection: what was said to it so far, and a wait until that is something. */
async function client(port: number) {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).setNoDelay()
  await once(socket, 'connect')
  ends.push(() => socket.destroy())
  let text = ''
  // Of a long body nobody wants to search the middle.
  socket.on('data', (c: Buffer) => (text += c.toString('latin1').replace(/z{100,}/g, '')))
  socket.on('error', () => undefined)
  const by = (): string[] => [...text.matchAll(/X-By: (.*)\r\n/g)].map((m) => m[1] ?? '')
  return {
    socket,
    text: () => text,
    by,
    /** Resolves with who answered once there are so many answers; rejects where the connection ends before. */
    answers: async (count: number): Promise<string[]> => {
      const ended = new AbortController()
      const end = (): void => ended.abort(new Error(`ended: ${text}`))
      socket.once('end', end).once('close', end)
      while (by().length < count) await once(socket, 'data', { signal: ended.signal })
      return by()
    },
  }
}

test('an answer is the same, byte for byte, whether node:http writes it or the fast path', async () => {
  const answers: Answer[] = [
    said('a'),
    {
      status: 302,
      headers: [
        ['Location', 'http://localhost/é'.normalize('NFC')],
        ['Content-Length', '0'],
      ],
    },
    {
      status: 403,
      headers: [
        ['Set-Cookie', 'a=1'],
        ['Set-Cookie', 'b=2'],
        ['Content-Length', '6'],
      ],
      body: 'äöü',
    },
  ]
  for (const answer of answers)
    for (const keep of [true, false]) {
      const server = createServer(SERVER_LIMITS, (_req, res) => {
        res.shouldKeepAlive = keep
        writeHttp1(res, answer, false)
        res.once('finish', () => setImmediate(() => server.closeAllConnections()))
      })
      ends.push(() => server.close())
      const byNode = await sendBytes(await listening(server), get('/'))
      const body = Buffer.from(answer.body ?? '').toString('latin1')
      const ours = headOfHttp1(answer, keep ? SERVER_LIMITS.keepAliveTimeout : undefined) + body
      const dateless = (text: string): string => text.replace(/Date: .* GMT/, 'Date:')
      assert.equal(dateless(ours), dateless(byNode))
      assert.match(ours, /\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/)
    }
})

test('a header that could begin another line is not written', () => {
  const withHeader = (name: string, value: string): Answer => ({ status: 200, headers: [[name, value]] })
  for (const [name, value] of [
    ['X-A', 'b\r\nX-User-ID: root'],
    ['X-A', 'b\n'],
    ['X-A', '\u0100'],
    ['X-A: b\r\nX-B', 'c'],
    ['', 'b'],
  ] as const)
    assert.throws(() => headOfHttp1(withHeader(name, value), 1000), TypeError, JSON.stringify([name, value]))
})

test('one connection is answered by the fast path request after request, and by node:http from the first other one on', async () => {
  const { port } = await door()
  const c = await client(port)
  for (const [i, target] of ['/fast1', '/fast2', '/other', '/fast3'].entries()) {
    c.socket.write(get(target))
    await c.answers(i + 1)
  }
  assert.deepEqual(c.by(), ['fast /fast1', 'fast /fast2', 'node /other', 'node /fast3'])
})

test('an idle connection is kept as long as by node:http, a little longer than its client is told', async () => {
  const { port, side } = await door()
  const kept: (number | undefined)[] = []
  for (const target of ['/fast', '/other']) {
    const c = await client(port)
    c.socket.write(get(target))
    await c.answers(1)
    kept.push(side().timeout)
  }
  const [fast, node] = kept
  assert.equal(fast, node)
  assert.ok((fast ?? 0) > SERVER_LIMITS.keepAliveTimeout)
})

test('a request with a body after a check loses none of it, in whatever pieces it comes', async () => {
  const { port } = await door()
  const c = await client(port)
  c.socket.write(get('/fast'))
  await c.answers(1)
  const body = 'x'.repeat(3000)
  const whole = `POST /other HTTP/1.1\r\nHost: bff\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  for (let at = 0; at < whole.length; at += 700) {
    c.socket.write(whole.slice(at, at + 700))
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.deepEqual(await c.answers(2), ['fast /fast', 'node /other'])
  while (!c.text().endsWith(body)) await once(c.socket, 'data')
})

test('a check that comes in two pieces is read from both; in more, by node:http', async () => {
  const { port, taken } = await door()
  const inPieces = async (count: number): Promise<string[]> => {
    const c = await client(port)
    const whole = get('/fast')
    const size = Math.ceil(whole.length / count)
    for (let at = 0; at < whole.length; at += size) {
      c.socket.write(whole.slice(at, at + size))
      await taken(Math.min(whole.length, at + size))
    }
    return c.answers(1)
  }
  assert.deepEqual(await inPieces(2), ['fast /fast'])
  assert.deepEqual(await inPieces(3), ['node /fast'])
})

test('requests that do not wait for their answers are answered in order', async () => {
  const { port } = await door()
  const targets = Array.from({ length: 50 }, (_, i) => (i % 7 === 3 ? `/other${i}` : `/fast${i}`))
  const c = await client(port)
  c.socket.write(targets.map(get).join(''))
  const by = await c.answers(targets.length)
  assert.deepEqual(
    by.map((b) => b.split(' ')[1]),
    targets,
  )
})

test('what comes while an answer is not known yet waits for it', async () => {
  const answers: (() => void)[] = []
  const { port, taken } = await door(
    (target) => new Promise((resolve) => answers.push(() => resolve(said(`fast ${target}`)))),
  )
  const c = await client(port)
  c.socket.write(get('/fast1'))
  await taken(get('/fast1').length)
  c.socket.write(get('/other') + get('/fast2'))
  await taken(get('/fast1').length + get('/other').length + get('/fast2').length)
  assert.equal(c.text(), '')
  answers[0]?.()
  assert.deepEqual(await c.answers(3), ['fast /fast1', 'node /other', 'node /fast2'])
})

/** A door that knows its answer to `/fast` at once, and to all else when it is told to. */
async function slowDoor() {
  const answers: (() => void)[] = []
  const d = await door((target) =>
    target === '/fast' ? said('fast') : new Promise((resolve) => answers.push(() => resolve(said('late')))),
  )
  return { ...d, answerLate: () => answers.splice(0).forEach((answer) => answer()) }
}

/** One that has had its last call, with a connection that was served and is idle, and one with a request in hand. */
async function atTheLastCall() {
  const d = await slowDoor()
  const [idle, late] = [await client(d.port), await client(d.port)]
  idle.socket.write(get('/fast'))
  await idle.answers(1)
  late.socket.write(get('/fast-later'))
  await d.taken(get('/fast-later').length)
  d.door.lastCall()
  return { ...d, idle, late }
}

test('a client that has said its last word is still answered, and then the connection ends', async () => {
  const { port, taken, answerLate } = await slowDoor()
  for (const [target, by] of [
    ['/fast', 'fast'],
    ['/fast-later', 'late'],
  ] as const) {
    const c = await client(port)
    c.socket.end(get(target))
    await taken(get(target).length)
    answerLate()
    if (!c.socket.readableEnded) await once(c.socket, 'end')
    assert.deepEqual(c.by(), [by])
  }
})

test('a client that goes away before its answer harms nobody', async () => {
  const { port, taken, gone, answerLate } = await slowDoor()
  const c = await client(port)
  c.socket.write(get('/fast-later'))
  await taken(get('/fast-later').length)
  c.socket.resetAndDestroy()
  await gone()
  answerLate()
  const next = await client(port)
  next.socket.write(get('/fast'))
  assert.deepEqual(await next.answers(1), ['fast'])
})

test('a client that asks again before it has taken an answer is node:http’s, which bounds what waits for it', async () => {
  const { port, side, taken } = await door(() => said('fast', 'z'.repeat(20_000_000)))
  const c = await client(port)
  c.socket.pause()
  c.socket.write(get('/fast'))
  await taken(get('/fast').length)
  assert.ok(side().writableLength > 0)
  c.socket.write(get('/fast'))
  await taken(2 * get('/fast').length)
  c.socket.resume()
  assert.deepEqual(await c.answers(2), ['fast', 'node /fast'])
})

test('after the last call each answer is its connection’s last, also one that was late', async () => {
  const { idle, late, answerLate } = await atTheLastCall()
  answerLate()
  idle.socket.write(get('/fast'))
  for (const c of [idle, late]) {
    if (!c.socket.readableEnded) await once(c.socket, 'end')
    assert.match(c.text(), /Connection: close\r\n/)
  }
})

test('at the end idle connections are cut, and one with a request in hand is finished first', async () => {
  const { door: d, idle, late, answerLate } = await atTheLastCall()
  await d.shut()
  const finished = d.finish(new AbortController().signal)
  if (!idle.socket.readableEnded) await once(idle.socket, 'end')
  assert.deepEqual(late.by(), [])
  answerLate()
  late.socket.once('end', () => late.socket.end())
  await finished
  assert.deepEqual(late.by(), ['late'])
})

test('a connection that says nothing is closed, one that says half a request is told by node:http', async () => {
  const handed: string[] = []
  const server = createNetServer({ allowHalfOpen: true }, (socket) =>
    serveFastPath(
      socket,
      { since: 0, requests: 0, served: false },
      {
        answer: ({ target }) => said(target),
        handOver: (it) => it.once('data', (c: Buffer) => (handed.push(c.toString()), it.destroy())),
        isLast: () => false,
        headersTimeoutMs: 30,
        keepAliveTimeoutMs: 1000,
        idleTimeoutMs: 60,
      },
    ),
  )
  ends.push(() => server.close())
  const port = await listening(server)
  const mute = await client(port)
  const half = await client(port)
  half.socket.write('GET /half HTTP/1.1\r\n')
  const served = await client(port)
  served.socket.write(get('/served'))
  await Promise.all([mute, half, served].map(async (c) => c.socket.readableEnded || (await once(c.socket, 'end'))))
  assert.deepEqual([mute.by(), half.by(), served.by(), handed], [[], [], ['/served'], ['GET /half HTTP/1.1\r\n']])
})

test('a client that was told that its connection ends and keeps it open is cut', async (t) => {
  const { door: d, port, side, gone } = await door()
  d.http.on('upgrade', (_req, socket) => socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n'))
  for (const said of [
    'nonsense\r\n\r\n',
    `GET /${'a'.repeat(20_000)} HTTP/1.1\r\n\r\n`,
    'GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  ]) {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const c = await client(port)
    c.socket.write(said)
    if (!c.socket.readableEnded) await once(c.socket, 'end')
    assert.match(c.text(), /^HTTP\/1\.1 4/)
    assert.ok(!side().destroyed)
    t.mock.timers.tick(5000)
    t.mock.timers.reset()
    await gone()
  }
})
