import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { certs } from '../../commands/certs.ts'
import { until } from '../../demo/launcher/index.ts'
import type { Http2Request, Http2Session, SessionLimits } from '../../listeners/http2/session.ts'
import type { Answer, Maybe } from '../../middleware/types.ts'
import { sendBytes } from '../support/bytes.ts'
import { frame, FrameClient, type Frame } from '../support/frames.ts'
import { OK, openHttp2Door } from '../support/http2-door.ts'
import { freePort, headerMode, startReplicas, through } from '../support/replicas.ts'

const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION] = [0, 1, 3, 4, 6, 7, 9] as const
const END_STREAM = 1
const END_HEADERS = 4
const HIGHEST = 2 ** 31 - 1
/** `:method GET`, `:scheme https`, `:path /`. */
const GET = Buffer.of(0x82, 0x87, 0x84)

/** A field as text that no table keeps. */
function field(name: string, value: string): Buffer {
  assert.ok(name.length < 127 && value.length < 127)
  return Buffer.concat([
    Buffer.of(0, name.length),
    Buffer.from(name, 'latin1'),
    Buffer.of(value.length),
    Buffer.from(value, 'latin1'),
  ])
}

class Client extends FrameClient {
  get(stream: number, ...fields: Buffer[]): void {
    this.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, Buffer.concat([GET, ...fields])))
  }

  /** The first such frame, when it has come; of SETTINGS the acknowledgement. */
  frame(type: number, stream: number): Promise<Frame> {
    return this.first((f) => f.type === type && f.stream === stream && (type !== SETTINGS || f.flags === 1))
  }

  /** The first byte of its header block: 0x88 is 200, 0x8c is 400. */
  async status(stream: number): Promise<number> {
    return (await this.frame(HEADERS, stream)).payload[0] ?? 0
  }
}

interface World {
  readonly client: Client
  readonly session: Http2Session
  readonly seen: readonly Http2Request[]
  readonly bugs: readonly unknown[]
  /** The server's side. */
  readonly socket: Socket
}

async function world(
  t: TestContext,
  serve?: (request: Http2Request) => Maybe<Answer>,
  limits?: Partial<SessionLimits>,
): Promise<World> {
  const at = await openHttp2Door(serve, { maxConcurrentStreams: 100, maxHeaderLines: 1000, ...limits })
  t.after(at.close)
  const client = new Client(at.port)
  t.after(() => client.socket.destroy())
  await client.frame(SETTINGS, 0)
  const [[socket], [session]] = [at.sockets, at.sessions]
  assert.ok(socket !== undefined && session !== undefined)
  return { client, session, seen: at.requests, bugs: at.bugs, socket }
}

test('a value that no field may have is told to whoever answers, and ends no stream by itself', async (t) => {
  const { client, seen } = await world(t, (r) => (r.badValue ? { status: 400, headers: [] } : OK))
  const bad = [' a', 'a ', '\ta', 'a\t', 'a\x01b', 'a\x7fb', 'a\nb', ' ']
  for (const [i, value] of bad.entries()) {
    client.get(1 + 2 * i, field('x-a', value))
    assert.equal(await client.status(1 + 2 * i), 0x8c, JSON.stringify(value))
  }
  client.get(101, field('x-a', 'a \tb'), field('x-b', ''))
  assert.equal(await client.status(101), 0x88)
  assert.equal(seen.length, bad.length + 1)
})

test('a bad value that the table keeps is bad when it comes by its index, and its name with another value is not', async (t) => {
  const { client } = await world(t, (r) => (r.badValue ? { status: 400, headers: [] } : OK))
  const kept = Buffer.concat([Buffer.of(0x40), field('x-a', 'a ').subarray(1)])
  client.get(1, kept)
  client.get(3, Buffer.of(0xbe))
  client.get(5, Buffer.of(0x0f, 0x2f, 1), Buffer.from('b'))
  assert.deepEqual([await client.status(1), await client.status(3), await client.status(5)], [0x8c, 0x8c, 0x88])
})

test('a piece of a cookie field may begin or end with a space: it was within when it was cut', async (t) => {
  const { client, seen } = await world(t)
  client.get(1, field('cookie', 'a=1 '), field('cookie', '\tb=2'))
  assert.equal(await client.status(1), 0x88)
  assert.deepEqual(
    seen.map((r) => [r.badValue, r.lines.slice(6)]),
    [[false, ['cookie', 'a=1 ', 'cookie', '\tb=2']]],
  )
})

test('CONNECT is a request like any other, and is answered', async (t) => {
  const { client, seen } = await world(t, () => ({ status: 404, headers: [] }))
  const block = Buffer.concat([field(':method', 'CONNECT'), field(':authority', 'a.example:443')])
  client.send(frame(HEADERS, END_HEADERS, 1, block))
  await client.frame(HEADERS, 1)
  // With a path it is none (RFC 9113 §8.5).
  client.send(frame(HEADERS, END_HEADERS, 3, Buffer.concat([block.subarray(0, 16), GET.subarray(1)])))
  assert.equal((await client.frame(RST_STREAM, 3)).payload.readUInt32BE(0), 1)
  assert.equal(seen.length, 1)
})

test('each entry of a SETTINGS frame counts as one that costs: any may change the window of every stream', async (t) => {
  const { client } = await world(t)
  const entries = Array.from({ length: 1100 }, (_, i) => [0, 4, 0, 0, 0, i % 2])
  client.send(frame(SETTINGS, 0, 0, entries.flat()))
  assert.equal((await client.frame(GOAWAY, 0)).payload.readUInt32BE(4), 11)
})

test('a session whose client has used up its stream ids closes when it is told to', async (t) => {
  const { client, session } = await world(t)
  client.get(HIGHEST)
  assert.equal(await client.status(HIGHEST), 0x88)
  session.goaway()
  session.close()
  await once(client.socket, 'close')
})

test('a session that closes does not wait for ever for an answer that its client does not take', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { client, session } = await world(t, () => ({ status: 200, headers: [], body: 'more' }))
  client.send(frame(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]))
  client.get(1)
  await client.status(1)
  session.close()
  await client.frame(GOAWAY, 0)
  t.mock.timers.tick(59_000)
  client.send(frame(PING, 0, 0, Buffer.alloc(8)))
  await client.frame(PING, 0)
  t.mock.timers.tick(2000)
  await once(client.socket, 'close')
})

test('a session that closes does not wait for a body that nobody wants', async (t) => {
  const { client, session } = await world(t)
  client.send(frame(HEADERS, END_HEADERS, 1, GET))
  await client.status(1)
  session.close()
  await once(client.socket, 'close')
})

test('what comes late for a stream that the last GOAWAY leaves out hurts nobody who still waits', async (t) => {
  let answer = (a: Answer): void => assert.fail(String(a.status))
  const { client, session, seen } = await world(t, () => new Promise((resolve) => (answer = resolve)))
  client.get(1)
  client.send(frame(PING, 0, 0, Buffer.alloc(8)))
  await client.frame(PING, 0)
  session.close()
  await client.frame(GOAWAY, 0)
  client.send(
    frame(HEADERS, END_HEADERS, 3, GET),
    frame(DATA, 0, 3, Buffer.from('body')),
    frame(HEADERS, END_STREAM | END_HEADERS, 3, field('x-trailer', '1')),
    frame(PING, 0, 0, Buffer.alloc(8, 1)),
  )
  while (client.frames.filter((f) => f.type === PING).length < 2) await once(client.socket, 'data')
  answer(OK)
  assert.equal(await client.status(1), 0x88)
  assert.equal(seen.length, 1)
  await once(client.socket, 'close')
  assert.deepEqual(
    client.frames
      .filter((f) => f.type === RST_STREAM || f.type === GOAWAY)
      .map((f) => [f.type, f.payload.readUInt32BE(0)]),
    [[GOAWAY, 1]],
  )
})

test('a header block that ends the session is not to be sent again: the GOAWAY counts its stream among the served', async (t) => {
  const huge = await world(t)
  const parts = Array.from({ length: 9 }, () => frame(CONTINUATION, 0, 7, Buffer.alloc(16_384)))
  huge.client.send(frame(HEADERS, END_STREAM, 7, GET), ...parts)
  assert.deepEqual((await huge.client.frame(GOAWAY, 0)).payload, Buffer.of(0, 0, 0, 7, 0, 0, 0, 11))
  const coded = await world(t)
  // An index that is none.
  coded.client.send(frame(HEADERS, END_STREAM | END_HEADERS, 5, Buffer.of(0xfe)))
  assert.deepEqual((await coded.client.frame(GOAWAY, 0)).payload, Buffer.of(0, 0, 0, 5, 0, 0, 0, 9))
})

test('a fault of ours with one request ends its stream alone', async (t) => {
  let asked = 0
  const { client, bugs } = await world(t, () => {
    asked += 1
    if (asked === 1) throw new Error('at once')
    return asked === 2 ? Promise.reject(new Error('late')) : OK
  })
  for (const stream of [1, 3]) {
    client.get(stream)
    assert.deepEqual((await client.frame(RST_STREAM, stream)).payload, Buffer.of(0, 0, 0, 2))
  }
  client.get(5)
  assert.equal(await client.status(5), 0x88)
  assert.deepEqual(bugs.map(String), ['Error: at once', 'Error: late'])
})

test('what is not taken because a client does not read is no frame that it was slow to send', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const large: Answer = { status: 200, headers: [['x-a', 'x'.repeat(30_000)]] }
  const { client, socket } = await world(t, () => large)
  await client.frame(SETTINGS, 0)
  client.socket.pause()
  const requests = Array.from({ length: 1000 }, (_, i) => frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * i, GET))
  client.send(...requests)
  while (!socket.isPaused()) await new Promise((resolve) => setImmediate(resolve))
  t.mock.timers.tick(16_000)
  t.mock.timers.tick(16_000)
  client.socket.resume()
  await client.frame(HEADERS, 1999)
  assert.equal(client.frames.filter((f) => f.type === GOAWAY).length, 0)
})

test('through a real Traefik, no header of one user makes it leave the connection that carries everybody', async (t) => {
  const r = await startReplicas([{ id: 'open', path: '/open/*', auth: 'public' }])
  t.after(() => r.stop())
  const tls = join(r.dir, 'tls')
  assert.equal(
    certs(
      r.dir,
      { out: tls, hosts: [], force: false },
      () => undefined,
      () => undefined,
    ),
    0,
  )
  const file = (name: string): string => join(tls, name)
  const [listen, port, web] = [await freePort(), await freePort(), await freePort()]
  const p = await r.start('attacked', {
    listen: `127.0.0.1:${listen}`,
    verify_listen: `127.0.0.1:${port}`,
    verify_tls: { cert: file('bff.pem'), key: file('bff.key'), client_ca: file('ca.pem') },
    trusted_proxies: [],
  })
  // Between the two, so that connections can be counted.
  let connections = 0
  const relay = createServer((near) => {
    connections += 1
    const far = connect(port, '127.0.0.1')
    near.on('error', () => far.destroy()).pipe(far)
    far.on('error', () => near.destroy()).pipe(near)
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  t.after(() => relay.close())
  const address = `https://127.0.0.1:${(relay.address() as AddressInfo).port}/auth/verify`
  const more = {
    tls: { ca: file('ca.pem'), cert: file('traefik.pem'), key: file('traefik.key') },
  }
  const traefik = await r.traefik(headerMode(address, r.upstreamPort, more), web)
  await until('a yes', async () => (await through(web, '/open/1')).status === 200, { running: traefik })
  const first = connections

  const asked = async (header: string): Promise<string> => {
    const got = await sendBytes(
      web,
      `GET /open/1 HTTP/1.1\r\nHost: localhost:8000\r\nConnection: close\r\n${header}\r\n\r\n`,
    )
    return got.slice(9, 12)
  }
  assert.equal(await asked('Cookie: a=1 ; b=2'), '200')
  assert.equal(await asked('Cookie: a=1;\tb=2'), '200')
  const user = connectHttp2(`http://127.0.0.1:${web}`, { strictFieldWhitespaceValidation: false })
  t.after(() => user.destroy())
  const stream = user.request({ ':path': '/open/1', ':authority': 'localhost:8000', 'x-a': ' b ' })
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
  assert.equal(headers[':status'], 400)
  assert.equal(connections, first)

  assert.doesNotMatch(p.output(), /"bug"/)
})
