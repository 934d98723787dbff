import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, beforeEach, describe, test } from 'node:test'
import { echo, echoAtEnd, startRawUpstream, startUpstream, type Upstream } from '../proxy/upstream.ts'
import { sendBytes } from '../support/bytes.ts'
import { send, type Client } from '../support/client.ts'
import { ORIGIN, PUBLIC_HOST, startService, type Service } from '../support/service.ts'

let up: Upstream
let raw: Awaited<ReturnType<typeof startRawUpstream>>
let bytes = ''
let s: Service
let alice: Client
before(async () => {
  up = await startUpstream()
  raw = await startRawUpstream((socket) => socket.end(bytes))
  s = await startService({
    routes: (r) => {
      r.services['orders'] = { base_url: `${up.url}/base` }
      r.services['raw'] = { base_url: raw.url }
      r.services['reports'] = { base_url: up.url }
      const route = (id: string, target_service: string, more: object = {}): Record<string, unknown> => ({
        id: `api-${id}`,
        path: `/api/${id}/*`,
        target_service,
        upstream_path: `/v1/${id}/{path}`,
        ...more,
      })
      r.routes.push(
        route('orders', 'orders'),
        route('reports', 'reports'),
        route('open', 'orders', { auth: 'public' }),
        route('soft', 'orders', { auth: 'public', encoded: ['slash', 'percent', 'semicolon'] }),
        route('raw', 'raw', { auth: 'public' }),
        { id: 'api-ws', path: '/api/ws', target_service: 'orders', upstream_path: '/ws' },
      )
    },
  })
  alice = await s.signIn()
})
after(async () => {
  await s.stop()
  await up.close()
  await raw.close()
})
beforeEach(() => {
  up.seen.length = 0
  up.answer = echo
})

const seen = (): Record<string, string | string[] | undefined> => up.seen.at(-1)?.headers ?? {}

const say = (text: string): Promise<string> => sendBytes(Number(new URL(s.url).port), text)

describe('hop-by-hop headers', () => {
  test('that Connection names end here, and it can name none of ours away (GHSA-w9mr-28mw-j8hg, CVE-2024-45410)', async () => {
    const ours = ['Authorization', 'X-User-ID', 'X-Session-ID', 'X-Forwarded-Host', 'X-Forwarded-For', 'Cookie', 'Host']
    for (const connection of [ours.join(', '), ours.join(',').toLowerCase()]) {
      await alice.get('/api/orders/1', {
        connection: `close, X-Private, ${connection}`,
        'x-private': '1',
        cookie: `${alice.header('/api')}; theme=dark`,
      })
      assert.equal(seen()['x-private'], undefined)
      assert.equal(seen()['x-user-id'], 'alice')
      assert.match(String(seen()['authorization']), /^Bearer eyJ/)
      assert.equal(seen()['x-forwarded-host'], PUBLIC_HOST)
      assert.equal(seen()['x-forwarded-for'], '127.0.0.1')
      assert.equal(seen()['cookie'], 'theme=dark')
    }
  })

  test('of the protocol itself never go on (CVE-2026-88008)', async () => {
    const hop = {
      te: 'trailers',
      'keep-alive': 'timeout=9',
      'proxy-authorization': 'Basic eA==',
      'proxy-connection': 'keep-alive',
      upgrade: 'h2c',
      'http2-settings': 'AAMAAABkAAQAAP__',
      connection: 'Upgrade, HTTP2-Settings',
    }
    assert.equal((await alice.get('/api/orders/1', hop)).status, 200)
    for (const name of Object.keys(hop)) if (name !== 'connection') assert.equal(seen()[name], undefined, name)
    assert.doesNotMatch(String(seen()['connection']), /upgrade|settings/i)
  })

  test('of an answer, and what its Connection names, stay with the upstream', async () => {
    up.answer = (_req, res) =>
      res
        .writeHead(200, { connection: 'close, X-Inner', 'x-inner': '1', 'proxy-authenticate': 'Basic', upgrade: 'h2c' })
        .end()
    const res = await alice.get('/api/orders/1')
    for (const name of ['x-inner', 'proxy-authenticate', 'upgrade']) assert.equal(res.headers.get(name), null, name)
  })
})

describe('what is ours stays here', () => {
  test('the session cookie, the sign-in cookies and the CSRF cookie and header never leave for an upstream', async () => {
    const session = alice.cookies.get('bff_session')?.value ?? ''
    const csrf = alice.cookies.get('_csrf_token')?.value ?? ''
    assert.ok(session !== '' && csrf !== '')
    const cookie = `${alice.header('/api')}; a=1; bff_login_x=y; $Version=1; "bff_session"=${session}; __Host-bff_session=${session}`
    for (const path of ['/api/orders/1', '/api/open/1']) {
      await alice.get(path, { cookie, 'x-csrf-token': csrf })
      assert.equal(seen()['cookie'], 'a=1; $Version=1')
      const all = JSON.stringify(up.seen.at(-1)?.rawHeaders)
      assert.ok(!all.includes(session) && !all.includes(csrf) && !/bff_login|csrf/i.test(all), path)
    }
  })

  test('nor in a trailer (CVE-2026-88004)', async () => {
    up.answer = echoAtEnd
    const got = await say(
      `POST /api/open/t HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-User-ID\r\n\r\n1\r\nx\r\n0\r\nX-User-ID: mallory\r\nX_User_ID: mallory\r\nX-Forwarded-Prefix: /admin\r\n\r\n`,
    )
    assert.match(got, /^HTTP\/1\.1 200 /)
    const at = up.seen.at(-1)
    assert.deepEqual([at?.rawTrailers, at?.headers['trailer'], at?.headers['x-user-id']], [[], undefined, undefined])
  })

  test('no identity that a client claims arrives, on a public route neither, in any spelling (CVE-2026-88011, CVE-2026-54763)', async () => {
    for (const path of ['/api/orders/1', '/api/open/1']) {
      const spellings = ['X-User-ID', 'X_User_ID', 'X.User.ID', 'x~user~id', 'X-User_Groups', 'X_Forwarded_User']
      await alice.get(path, Object.fromEntries(spellings.map((n) => [n, 'mallory'])))
      assert.doesNotMatch(JSON.stringify(up.seen.at(-1)?.rawHeaders), /mallory/)
      assert.equal(seen()['x-user-id'], path === '/api/orders/1' ? 'alice' : undefined)
    }
  })
})

describe('where no token is to be had (Spring TokenRelay fails open)', () => {
  test('nothing is forwarded, least of all with the Authorization of the client', async () => {
    const res = await alice.get('/api/reports/1', { authorization: 'Bearer of-mallory' })
    assert.deepEqual([res.status, res.headers.get('x-bff-error')], [401, 'NO_TOKEN_AVAILABLE'])
    assert.equal(up.seen.length, 0)
  })

  test('and in header mode the answer has none to hand on either', async () => {
    const res = await s.verify('/reports/1', { client: alice, headers: { authorization: 'Bearer of-mallory' } })
    assert.deepEqual([res.status, res.headers.get('authorization')], [401, null])
  })

  test('where there is one, it alone arrives', async () => {
    await alice.get('/api/orders/1', { authorization: 'Bearer of-mallory', 'proxy-authorization': 'Bearer of-mallory' })
    assert.doesNotMatch(JSON.stringify(up.seen.at(-1)?.rawHeaders), /mallory/)
    assert.match(String(seen()['authorization']), /^Bearer eyJ/)
  })
})

describe('{path} does not climb out of upstream_path (CVE-2026-42274, CVE-2026-65600)', () => {
  for (const rest of [
    '../admin',
    'x/../../admin',
    '%2e%2e/admin',
    '..%2fadmin',
    '..%252fadmin',
    '%252e%252e/admin',
    '%25252e%25252e%25252fadmin',
    '..;/admin',
    '..%3b/admin',
    '%2f..%2fadmin',
    '..\\admin',
    '..%5cadmin',
    '..%255cadmin',
    './/admin',
    '/admin',
    '%2fadmin',
    '@evil.example/',
    'x%00',
    'x%2500',
    'x%0d%0aX-User-ID:%20mallory',
    'x#y',
    'x%23/../y',
  ]) {
    test(rest, async () => {
      for (const route of ['open', 'soft']) {
        const res = await send(`${s.url}/api/${route}/${rest}`, { headers: { 'x-forwarded-host': PUBLIC_HOST } })
        const [at] = up.seen
        if (res.status === 200)
          assert.ok(at?.url?.startsWith(`/base/v1/${route}/`) === true && !/\.\.|%2e/i.test(at.url))
        else assert.deepEqual([res.status, at], [400, undefined])
        up.seen.length = 0
      }
    })
  }
})

describe('an upstream overwrites nothing of ours', () => {
  test('a Set-Cookie of our names, in any spelling that a browser would take for them', async () => {
    const lines = [
      'bff_session=stolen; Path=/',
      ' bff_session =stolen',
      'BFF_SESSION=stolen',
      '__Host-bff_session=stolen; Secure; Path=/',
      '__Secure-bff_session=stolen',
      '=bff_session=stolen',
      '_csrf_token=stolen',
      'bff_login_abc=stolen',
      'bff_session',
    ]
    up.answer = (_req, res) =>
      res
        .writeHead(
          200,
          [...lines, 'lang=de'].flatMap((l) => ['Set-Cookie', l]),
        )
        .end()
    const before = alice.cookies.get('bff_session')?.value
    const res = await alice.get('/api/orders/1')
    assert.deepEqual(res.headers.getSetCookie(), ['lang=de'])
    assert.equal(alice.cookies.get('bff_session')?.value, before)
  })

  test('X-BFF-Error, and the status of our sign-in: a redirect of the upstream is its own', async () => {
    up.answer = (_req, res) =>
      res.writeHead(302, { location: `${up.url}/base/v1/orders/2`, 'x-bff-error': 'NO_SESSION' }).end()
    const inner = await alice.get('/api/orders/1')
    assert.deepEqual([inner.headers.get('location'), inner.headers.get('x-bff-error')], ['/api/orders/2', null])
    for (const location of ['/auth/login?return_to=/x', 'https://other.example/', '//other.example/']) {
      up.answer = (_req, res) => res.writeHead(302, { location }).end()
      assert.equal((await alice.get('/api/orders/1')).headers.get('location'), location)
    }
  })

  test('nor in trailers', async () => {
    up.answer = (_req, res) => {
      res.writeHead(200, { trailer: 'Set-Cookie, X-BFF-Error, X-Sum' })
      res.write('x')
      res.addTrailers({ 'set-cookie': 'bff_session=stolen', 'x-bff-error': 'NO_SESSION', 'x-sum': '1' })
      res.end()
    }
    const got = await say(`GET /api/open/1 HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nConnection: close\r\n\r\n`)
    assert.match(got, /x-sum: 1/i)
    assert.doesNotMatch(got, /stolen|NO_SESSION/)
  })

  test('a 101 that nobody asked for switches nothing (CVE-2025-64763)', async () => {
    bytes = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n`
    const got = await say(`GET /api/raw/1 HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nConnection: close\r\n\r\n`)
    assert.match(got, /^HTTP\/1\.1 502 /)
    assert.doesNotMatch(got, /smuggled/)
  })
})

describe('a handshake whose upstream does not switch (CVE-2024-23326)', () => {
  for (const [what, answer] of Object.entries({
    '200': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    '200 and goes on talking': `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 101 Switching Protocols\r\n\r\nstolen`,
    '204 with X-BFF-Error and our cookie':
      'HTTP/1.1 204 No Content\r\nX-BFF-Error: NO_SESSION\r\nSet-Cookie: bff_session=stolen\r\n\r\n',
    '101 to another protocol':
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nSet-Cookie: bff_session=stolen\r\n\r\n',
    '101 without Upgrade': 'HTTP/1.1 101 Switching Protocols\r\n\r\nstolen',
  }))
    test(`but answers ${what}`, async () => {
      bytes = answer
      const got = await say(
        `GET /api/raw/ws HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: ${ORIGIN}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
      )
      assert.match(got, /^HTTP\/1\.1 (?:200|204|502) /)
      assert.doesNotMatch(got, /stolen|NO_SESSION/)
    })
})

describe('request smuggling (CVE-2025-22871)', () => {
  const HEAD = `Host: ${PUBLIC_HOST}\r\n`
  const NEXT = `GET /api/open/smuggled HTTP/1.1\r\n${HEAD}\r\n`
  for (const [what, request_] of Object.entries({
    'both Content-Length and Transfer-Encoding': `POST /api/open/x HTTP/1.1\r\n${HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${NEXT}`,
    'the same, the other way round': `POST /api/open/x HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${NEXT}`,
    'two lengths': `POST /api/open/x HTTP/1.1\r\n${HEAD}Content-Length: 0\r\nContent-Length: 44\r\n\r\n${NEXT}`,
    'a length that is a list': `POST /api/open/x HTTP/1.1\r\n${HEAD}Content-Length: 0, 44\r\n\r\n${NEXT}`,
    'a length with a sign': `POST /api/open/x HTTP/1.1\r\n${HEAD}Content-Length: +44\r\n\r\n${NEXT}`,
    'an unknown coding': `POST /api/open/x HTTP/1.1\r\n${HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${NEXT}`,
    'a coding after chunked': `POST /api/open/x HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${NEXT}`,
    'a space before the colon': `POST /api/open/x HTTP/1.1\r\n${HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${NEXT}`,
    'a vertical tab before the coding': `POST /api/open/x HTTP/1.1\r\n${HEAD}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${NEXT}`,
    'a folded header': `POST /api/open/x HTTP/1.1\r\n${HEAD}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${NEXT}`,
    'a bare line feed': `POST /api/open/x HTTP/1.1\r\n${HEAD}Content-Length: 0\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${NEXT}`,
    'a chunk size that is none': `POST /api/open/x HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n${NEXT}`,
    'a bare line feed after a chunk size': `POST /api/open/x HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n${NEXT}`,
    'a chunk extension with a line feed': `POST /api/open/x HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n2;a=\nx\r\nab\r\n0\r\n\r\n${NEXT}`,
  })) {
    test(`${what} carries no second request`, async () => {
      const got = await say(request_)
      // What is found out only after the head cuts the connection.
      assert.match(got, /^(?:HTTP\/1\.1 400 [\s\S]*)?$/)
      assert.ok(!up.seen.some((r) => r.url?.includes('smuggled') === true))
    })
  }

  test('a body that Connection would strip of its length is framed all the same (CVE-2026-29057)', async () => {
    for (const named of ['Content-Length', 'Transfer-Encoding']) {
      up.seen.length = 0
      const body =
        named === 'Content-Length'
          ? `Content-Length: ${NEXT.length}\r\n\r\n${NEXT}`
          : `Transfer-Encoding: chunked\r\n\r\n${NEXT.length.toString(16)}\r\n${NEXT}\r\n0\r\n\r\n`
      await say(`DELETE /api/open/x HTTP/1.1\r\n${HEAD}Connection: close, ${named}\r\n${body}`)
      assert.deepEqual(
        up.seen.map((r) => r.url),
        ['/base/v1/open/x'],
      )
    }
  })

  test('a refused request with a body is the last of its connection', async () => {
    const got = await say(`POST /nowhere HTTP/1.1\r\n${HEAD}Content-Length: ${NEXT.length}\r\n\r\n${NEXT}`)
    assert.equal(got.match(/HTTP\/1\.1 /g)?.length, 1)
    assert.equal(up.seen.length, 0)
  })

  test('bytes behind a refused handshake are no request', async () => {
    const got = await say(
      `GET /api/ws HTTP/1.1\r\n${HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: ${ORIGIN}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n${NEXT}`,
    )
    assert.match(got, /^HTTP\/1\.1 401 /)
    assert.equal(up.seen.length, 0)
  })
})

test('a HEAD or a 204 whose upstream sends a body all the same mixes up no answers', async () => {
  for (const [method, head] of [
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'],
    ['GET', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n'],
  ] as const) {
    bytes = `${head}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen`
    const status = await new Promise<number>((resolve, reject) => {
      const req = request(
        `${s.url}/api/raw/1`,
        { method, headers: { 'x-forwarded-host': PUBLIC_HOST }, agent: false },
        (res) => {
          res.resume()
          res.once('end', () => resolve(res.statusCode ?? 0))
        },
      )
      req.on('error', reject)
      req.end()
    })
    assert.ok([200, 204, 304].includes(status))
    const next = await s.client().get('/api/open/next')
    assert.doesNotMatch(await next.text(), /stolen/)
  }
})
