import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { decodeJwt } from 'jose'
import { WebSocket } from 'ws'
import { until } from '../../demo/launcher/index.ts'
import type { Client } from '../support/client.ts'
import { BILLING, ORDERS, ORIGIN, PUBLIC_HOST, startService, type Service } from '../support/service.ts'
import { echo, startRawUpstream, startUpstream, type Upstream } from './upstream.ts'

let up: Upstream
let s: Service
let alice: Client
let raws: Record<string, Awaited<ReturnType<typeof startRawUpstream>>> = {}

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n'

before(async () => {
  up = await startUpstream()
  raws = {
    dies: await startRawUpstream((socket) =>
      socket.write(`${HEAD}Content-Length: 100\r\n\r\nhalf`, () => socket.destroy()),
    ),
    diesChunked: await startRawUpstream((socket) =>
      socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n`, () => socket.end()),
    ),
    odd: await startRawUpstream((socket) => socket.end('HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n')),
    both: await startRawUpstream((socket) =>
      socket.end(`${HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
    ),
    hints: await startRawUpstream((socket) =>
      socket.end(`HTTP/1.1 103 Early Hints\r\nLink: no link\r\n\r\n${HEAD}Content-Length: 2\r\n\r\nok`),
    ),
    nonsense: await startRawUpstream((socket) => socket.end('what?\r\n\r\n')),
    hangs: await startRawUpstream(() => undefined),
  }
  s = await startService({
    routes: (r) => {
      r.services['orders'] = { base_url: `${up.url}/base` }
      r.services['billing'] = { base_url: up.url }
      r.services['down'] = { base_url: 'http://127.0.0.1:1' }
      for (const [name, raw] of Object.entries(raws)) r.services[name] = { base_url: raw.url }
      const proxied = (id: string, service: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
        id: `api-${id}`,
        path: `/api/${id}/*`,
        target_service: service,
        upstream_path: `/v2/${id}/{path}`,
        ...more,
      })
      r.routes.push(
        proxied('orders', 'orders'),
        proxied('billing', 'billing', { upstream_path: '/{path}' }),
        {
          id: 'files',
          path: '/api/files/*',
          auth: 'public',
          target_service: 'billing',
          upstream_path: '/files/{path}',
        },
        { id: 'ws', path: '/api/ws', target_service: 'billing', upstream_path: '/ws' },
        ...['down', ...Object.keys(raws)].map((name) => ({
          id: name,
          path: `/api/${name}/*`,
          auth: 'public',
          target_service: name,
          upstream_path: '/{path}',
          timeout: '500ms',
        })),
      )
    },
  })
  alice = await s.signIn()
})
after(async () => {
  // Undefined where before() failed.
  await (s as Service | undefined)?.stop()
  await up.close()
  for (const raw of Object.values(raws)) await raw.close()
})
beforeEach(() => {
  up.seen.length = 0
  up.answer = echo
})

interface Told {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
}
const told = async (res: Response): Promise<Told> => (await res.json()) as Told
const csrf = async (c: Client): Promise<string> =>
  ((await (await c.get('/auth/csrf')).json()) as { csrf_token: string }).csrf_token

/** A request whose answer is read as it comes. */
function open(
  path: string,
  o: { readonly client?: Client; readonly method?: string; readonly headers?: Record<string, string> } = {},
): { readonly req: ClientRequest; readonly res: Promise<IncomingMessage> } {
  const cookie = o.client?.header(path) ?? ''
  const req = request(`${s.url}${path}`, {
    method: o.method ?? 'GET',
    agent: false,
    headers: { 'x-forwarded-host': PUBLIC_HOST, ...(cookie === '' ? {} : { cookie }), ...o.headers },
  })
  req.on('error', () => undefined)
  return { req, res: once(req, 'response').then(([res]) => res as IncomingMessage) }
}

describe('R7 a proxied route', () => {
  test('goes to base_url at upstream_path, the query byte for byte', async () => {
    const got = await told(await alice.get('/api/orders/a%20b/c?x=1&y=%zz&z=a+b'))
    assert.equal(got.url, '/base/v2/orders/a%20b/c?x=1&y=%zz&z=a+b')
    assert.equal((await told(await alice.get('/api/orders'))).url, '/base/v2/orders')
    assert.equal((await told(await alice.get('/api/billing/'))).url, '/')
  })

  test('R9 carries the token of its service, and the same headers as header mode', async () => {
    const orders = await told(await alice.get('/api/orders/1'))
    const billing = await told(await alice.get('/api/billing/1'))
    assert.equal(decodeJwt(orders.headers['authorization']?.slice(7) ?? '').aud, ORDERS)
    assert.equal(decodeJwt(billing.headers['authorization']?.slice(7) ?? '').aud, BILLING)
    const verified = await s.verify('/orders/1', { client: alice })
    for (const name of [
      'x-user-id',
      'x-user-email',
      'x-user-name',
      'x-session-id',
      'x-auth-time',
      'x-original-user',
      'authorization',
    ]) {
      assert.equal(orders.headers[name], verified.headers.get(name), name)
    }
  })

  test('refuses what header mode refuses, in the same words', async () => {
    for (const [path, status, code] of [
      ['/api/orders/../x', 400, 'BAD_REQUEST'],
      ['/api/orders/..%2fx', 400, 'BAD_REQUEST'],
      ['/api/orders/%2e%2e/x', 400, 'BAD_REQUEST'],
      ['/api/orders//x', 400, 'BAD_REQUEST'],
      ['/api/orders/a;b', 400, 'BAD_REQUEST'],
      ['/nowhere', 403, 'NO_ROUTE'],
    ] as const) {
      const res = await alice.get(path)
      assert.deepEqual([res.status, res.headers.get('x-bff-error')], [status, code], path)
    }
    const anonymous = await s.client().get('/api/orders/1')
    assert.deepEqual([anonymous.status, anonymous.headers.get('x-bff-error')], [401, 'NO_SESSION'])
    const page = await s.client().page('/api/orders/1')
    assert.equal(page.headers.get('location'), `${ORIGIN}/auth/login?return_to=%2Fapi%2Forders%2F1`)
    const post = await alice.post('/api/orders/1', 'x')
    assert.deepEqual([post.status, post.headers.get('x-bff-error')], [403, 'CSRF_FAILED'])
    assert.equal(up.seen.length, 0)
  })

  test('an absolute-form target and a foreign host are refused', async () => {
    assert.equal((await s.client('evil.example.com').get('/api/files/x')).status, 400)
    const socket = connect(Number(new URL(s.url).port), '127.0.0.1')
    socket.end(`GET http://evil.example.com/api/files/x HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nConnection: close\r\n\r\n`)
    const [first] = (await once(socket, 'data')) as [Buffer]
    assert.match(first.toString(), /^HTTP\/1\.1 400/)
    assert.equal(up.seen.length, 0)
  })
})

describe('what reaches the upstream', () => {
  test('none of our names that a client sent, in any spelling, none of our cookies, and no CSRF token', async () => {
    const forged = {
      'X-User-ID': 'mallory',
      X_User_Email: 'mallory',
      'x.user.groups': 'mallory',
      'X~Session~ID': 'mallory',
      'X-Forwarded-User': 'mallory',
      X_Forwarded_Host: 'mallory',
      'X-Forwarded-Prefix': 'mallory',
      Forwarded: 'for=mallory',
      'X-Identity-Assertion': 'mallory',
      'X-Real-Ip': 'mallory',
    }
    const got = await told(
      await alice.get('/api/orders/1', {
        ...forged,
        cookie: `${alice.header('/api')}; theme=dark`,
        authorization: 'Bearer of-mallory',
        'x-csrf-token': 'x',
      }),
    )
    assert.ok(!JSON.stringify(got.headers).includes('mallory'))
    assert.equal(got.headers['cookie'], 'theme=dark')
    assert.ok(!('x-csrf-token' in got.headers))
    assert.equal(got.headers['x-user-id'], 'alice')
  })

  test('a client Authorization passes on a public route alone', async () => {
    assert.equal(
      (await told(await alice.get('/api/files/1', { authorization: 'Basic abc' }))).headers['authorization'],
      'Basic abc',
    )
    const none = await alice.get('/api/files/1')
    assert.ok(!('authorization' in (await told(none)).headers))
  })

  test('no hop-by-hop header and none that Connection names; where it came from, cleanly', async () => {
    const got = await told(
      await alice.get('/api/orders/1', {
        connection: 'close, X-Secret, X-User-ID',
        'x-secret': '1',
        te: 'trailers',
        'proxy-authorization': 'x',
        upgrade: 'h2c',
        'http2-settings': 'AAMAAABkAAQAAP__',
      }),
    )
    for (const name of ['x-secret', 'te', 'proxy-authorization', 'upgrade', 'http2-settings'])
      assert.ok(!(name in got.headers), name)
    assert.equal(got.headers['x-user-id'], 'alice')
    assert.equal(got.headers['x-forwarded-host'], PUBLIC_HOST)
    assert.equal(got.headers['x-forwarded-proto'], 'http')
    assert.equal(got.headers['host'], new URL(up.url).host)
  })

  test('no second request: both Content-Length and Transfer-Encoding are 400, a chunked DELETE is one request', async () => {
    const say = (text: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect(Number(new URL(s.url).port), '127.0.0.1')
        let all = ''
        socket.on('data', (d: Buffer) => (all += d.toString()))
        socket.on('close', () => resolve(all))
        socket.on('error', reject)
        socket.write(text)
      })
    const both = await say(
      `POST /api/files/x HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/files/smuggled HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\n\r\n`,
    )
    assert.match(both, /^HTTP\/1\.1 400/)
    await say(
      `DELETE /api/files/x HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2e\r\nGET /smuggled HTTP/1.1\r\nHost: internal.example\r\n\r\n0\r\n\r\n`,
    )
    assert.deepEqual(
      up.seen.map((r) => r.url),
      ['/files/x'],
    )
  })
})

describe('what comes back', () => {
  test('headers as they were, but for ours and those of the hop', async () => {
    up.answer = (_req, res) => {
      res.writeHead(
        201,
        [
          ['Set-Cookie', 'bff_session=stolen; Path=/'],
          ['Set-Cookie', '__Host-bff_session=x'],
          ['set-cookie', 'BFF_LOGIN_x=y'],
          ['Set-Cookie', '_csrf_token=z'],
          ['Set-Cookie', 'theme=dark'],
          ['Set-Cookie', 'lang=de'],
          ['X-BFF-Error', 'NO_SESSION'],
          ['X-Twice', 'a'],
          ['X-Twice', 'b'],
          ['Connection', 'keep-alive, X-Hop'],
          ['X-Hop', '1'],
        ].flat() as never,
      )
      res.end('done')
    }
    const res = await alice.get('/api/orders/1')
    assert.equal(res.status, 201)
    assert.deepEqual(res.headers.getSetCookie(), ['theme=dark', 'lang=de'])
    assert.equal(res.headers.get('x-bff-error'), null)
    assert.equal(res.headers.get('x-twice'), 'a, b')
    assert.equal(res.headers.get('x-hop'), null)
    assert.equal((await alice.get('/api/auth/session')).status, 200)
  })

  test('a Location at the upstream goes back through the public path; a relative and a foreign one pass', async () => {
    for (const [sent, seen] of [
      [`${up.url}/base/v2/orders/7?x=1#y`, '/api/orders/7?x=1#y'],
      ['/elsewhere', '/elsewhere'],
      ['https://other.example.com/x', 'https://other.example.com/x'],
    ] as const) {
      up.answer = (_req, res) => res.writeHead(302, { location: sent }).end()
      assert.equal((await alice.get('/api/orders/1')).headers.get('location'), seen)
    }
  })

  test('trailers and early hints pass', async () => {
    up.answer = (_req, res) => {
      res.writeEarlyHints({ link: '</x.css>; rel=preload' })
      res.writeHead(200, { trailer: 'X-Checksum' })
      res.write('body')
      res.addTrailers({ 'X-Checksum': 'abc' })
      res.end()
    }
    const { req, res } = open('/api/files/x')
    const hints: unknown[] = []
    req.on('information', (info) => hints.push(info.headers['link']))
    req.end()
    const got = await res
    got.resume()
    await once(got, 'end')
    assert.deepEqual(hints, ['</x.css>; rel=preload'])
    assert.equal(got.trailers['x-checksum'], 'abc')
  })

  test('early hints that are none are dropped, and what comes after them passes', async () => {
    const res = await s.client().get('/api/hints/x')
    assert.deepEqual([res.status, await res.text()], [200, 'ok'])
  })

  for (const [path, status] of [
    ['/api/down/x', 502],
    ['/api/odd/x', 502],
    ['/api/both/x', 502],
    ['/api/nonsense/x', 502],
    ['/api/hangs/x', 504],
  ] as const) {
    test(`an upstream that is ${path.split('/')[2] ?? ''} is ${status} with a code, and no stack trace`, async () => {
      const res = await s.client().get(path)
      assert.deepEqual([res.status, res.headers.get('x-bff-error')], [status, 'UPSTREAM_UNAVAILABLE'])
      assert.equal(res.headers.get('content-type'), 'application/problem+json')
      assert.doesNotMatch(await res.text(), /ECONN|at \w/)
    })
  }

  for (const path of ['/api/dies/x', '/api/diesChunked/x']) {
    test(`an answer that its upstream cuts short (${path}) is cut here too, and never looks whole`, async () => {
      const { req, res } = open(path)
      req.end()
      const got = await res
      got.resume()
      await assert.rejects(once(got, 'end'))
      assert.equal(got.complete, false)
    })
  }
})

describe('streaming', () => {
  test('an event stream opens before its first event', async () => {
    let finish: () => void = () => undefined
    up.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.flushHeaders()
      finish = () => res.end('data: 1\n\n')
    }
    const { req, res } = open('/api/orders/events', { client: alice })
    req.end()
    const got = await res
    assert.equal(got.statusCode, 200)
    finish()
    const [chunk] = (await once(got, 'data')) as [Buffer]
    assert.equal(chunk.toString(), 'data: 1\n\n')
  })

  test('a large body goes both ways whole, with back-pressure', async () => {
    const body = randomBytes(8 * 1024 * 1024)
    up.answer = (req, res) => req.pipe(res)
    const { req, res } = open('/api/files/echo', { method: 'POST' })
    req.end(body)
    const chunks: Buffer[] = []
    for await (const chunk of await res) chunks.push(chunk as Buffer)
    assert.ok(Buffer.concat(chunks).equals(body))
  })

  test('an upload reaches the upstream while it is still being sent', async () => {
    const first = new Promise<string>((resolve) => {
      up.answer = (req, res) => {
        req.once('data', (chunk: Buffer) => resolve(chunk.toString()))
        req.on('end', () => res.end('thanks'))
      }
    })
    const { req, res } = open('/api/files/up', { method: 'POST' })
    req.write('begin')
    assert.equal(await first, 'begin')
    req.end('end')
    const got = await res
    assert.equal(got.statusCode, 200)
    got.resume()
  })

  test('a client that leaves ends the request at the upstream', async () => {
    const left = new Promise<void>((resolve) => {
      up.answer = (_req, res) => {
        res.write('x')
        res.once('close', () => resolve())
      }
    })
    const { req, res } = open('/api/files/long')
    req.end()
    await res
    req.destroy()
    await left
  })

  test('connections to an upstream are kept and used again', async () => {
    for (let i = 0; i < 5; i++) await (await alice.get('/api/orders/1')).text()
    assert.equal(new Set(up.seen.map((r) => r.socket.remotePort)).size, 1)
  })
})

describe('R12 a 401 of the upstream in spite of a token', () => {
  test('brings a fresh token and one more try', async () => {
    const tokens: string[] = []
    up.answer = (req, res) => {
      tokens.push(req.headers.authorization ?? '')
      res.writeHead(tokens.length === 1 ? 401 : 200).end('x')
    }
    const fresh = await s.signIn()
    const res = await fresh.get('/api/orders/1')
    assert.equal(res.status, 200)
    assert.equal(res.headers.get('x-bff-error'), null)
    assert.equal(tokens.length, 2)
    assert.notEqual(tokens[0], tokens[1])
  })

  test('if it stands, is the answer of the upstream itself, told apart by header, log and metric', async () => {
    let asked = 0
    up.answer = (_req, res) => {
      asked += 1
      res
        .writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"', 'content-type': 'text/plain' })
        .end('no from upstream')
    }
    const fresh = await s.signIn()
    const res = await fresh.get('/api/billing/1')
    assert.deepEqual([res.status, res.headers.get('x-bff-error')], [401, 'UPSTREAM_REJECTED_TOKEN'])
    assert.equal(await res.text(), 'no from upstream')
    assert.equal(asked, 2)
    await s.waitForLog((l) => l['msg'] === 'upstream_rejected_token service=billing')
    assert.match(
      await (await fetch(`${s.adminUrl}/metrics`)).text(),
      /bff_upstream_rejected_tokens_total\{service="billing"\} \d/,
    )
  })

  test('a request with a body is not tried twice', async () => {
    let asked = 0
    up.answer = (req, res) => {
      asked += 1
      req.resume()
      res.writeHead(401).end()
    }
    const fresh = await s.signIn()
    const res = await fresh.post('/api/orders/1', 'body', { 'x-csrf-token': await csrf(fresh) })
    assert.deepEqual([res.status, res.headers.get('x-bff-error')], [401, 'UPSTREAM_REJECTED_TOKEN'])
    assert.equal(asked, 1)
  })
})

describe('a WebSocket', () => {
  const dial = (client: Client, headers: Record<string, string> = {}): WebSocket =>
    new WebSocket(`${s.url.replace('http', 'ws')}/api/ws`, {
      headers: { 'x-forwarded-host': PUBLIC_HOST, origin: ORIGIN, cookie: client.header('/api/ws'), ...headers },
    })
  const refused = (ws: WebSocket): Promise<number> =>
    new Promise((resolve, reject) => {
      ws.on('unexpected-response', (_req, res) => {
        resolve(res.statusCode ?? 0)
        res.resume()
      })
      ws.on('open', () => reject(new Error('it opened')))
      ws.on('error', () => undefined)
    })

  test('carries identity and token, bytes both ways, and the close code of the upstream', async () => {
    const ws = dial(alice)
    await once(ws, 'open')
    assert.equal(up.seen.at(-1)?.headers['x-user-id'], 'alice')
    assert.equal(decodeJwt(up.seen.at(-1)?.headers.authorization?.slice(7) ?? '').aud, BILLING)
    ws.send('hello')
    const [said] = (await once(ws, 'message')) as [Buffer]
    assert.equal(said.toString(), 'hello')
    ws.send(randomBytes(200_000))
    const [large] = (await once(ws, 'message')) as [Buffer]
    assert.equal(large.length, 200_000)
    ws.send('close')
    const [code, reason] = (await once(ws, 'close')) as [number, Buffer]
    assert.deepEqual([code, reason.toString()], [4007, 'asked to'])
  })

  test('is refused without a session and from a foreign Origin', async () => {
    assert.equal(await refused(dial(s.client())), 401)
    assert.equal(await refused(dial(alice, { origin: 'https://evil.example.com' })), 403)
  })

  test('a client that leaves ends it at the upstream', async () => {
    const ws = dial(alice)
    await once(ws, 'open')
    await until('the upstream socket', async () => up.sockets.size > 0)
    ws.terminate()
    await until('its end', async () => up.sockets.size === 0)
  })

  test('and an event stream end when the session ends, with a code that says why', async () => {
    up.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: 1\n\n')
    }
    const client = await s.signIn()
    const ws = dial(client)
    await once(ws, 'open')
    const { req, res } = open('/api/orders/events', { client })
    req.end()
    const events = await res
    events.resume()
    const closed = once(ws, 'close') as Promise<[number, Buffer]>
    const ended = once(events, 'end')
    await client.post('/auth/logout', '', { 'x-csrf-token': await csrf(client) })
    const [code, reason] = await closed
    assert.deepEqual([code, reason.toString()], [1008, 'session ended'])
    await ended
    await until('the upstream told', async () => up.sockets.size === 0)
  })

  test('other upgrades are not switched to (CVE-2026-88008)', async () => {
    const got = await told(
      await alice.get('/api/billing/x', {
        connection: 'Upgrade, HTTP2-Settings',
        upgrade: 'h2c',
        'http2-settings': 'AAMAAABkAAQAAP__',
      }),
    )
    assert.ok(!('upgrade' in got.headers) && !('http2-settings' in got.headers))
  })
})
