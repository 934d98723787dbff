import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, mkdtempSync, rmSync } from 'node:fs'
import { request, type IncomingMessage } from 'node:http'
import { createServer as createTls } from 'node:https'
import { connect, createServer as createTcp, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { until } from '../../demo/launcher/index.ts'
import { certs } from '../../commands/certs.ts'
import type { ServiceToken } from '../../middleware/types.ts'
import { createConnections } from '../../proxy/connections.ts'
import { sendBytes } from '../support/bytes.ts'
import { startEngine } from './engine.ts'

interface Script {
  readonly url: string
  /** Heads and bodies as they came, one a connection. */
  readonly got: string[]
  readonly sockets: Set<Socket>
  close(): Promise<void>
}

/** An upstream whose every byte a test decides: told of each piece that comes, with all of its connection before it. */
async function startScript(say: (socket: Socket, all: string) => void): Promise<Script> {
  const got: string[] = []
  const sockets = new Set<Socket>()
  const server = createTcp((socket) => {
    const nth = got.push('') - 1
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (chunk) => {
      const all = (got[nth] ?? '') + chunk.toString('latin1')
      got[nth] = all
      say(socket, all)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    got,
    sockets,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const HEAD = 'Host: app.example.com\r\nConnection: close\r\n'
const requests = (script: Script): number => script.got.join('').match(/ HTTP\/1\.1\r\n/g)?.length ?? 0

/** Answers each whole request (without a body) with these bytes. */
const answering =
  (bytes: string) =>
  (socket: Socket, all: string): void => {
    if (all.endsWith('\r\n\r\n')) socket.write(bytes, 'latin1')
  }

async function inEngine(
  say: Parameters<typeof startScript>[0],
  run: (engine: Awaited<ReturnType<typeof startEngine>>, script: Script) => Promise<void>,
  o: Parameters<typeof startEngine>[1] = {},
): Promise<void> {
  const script = await startScript(say)
  const engine = await startEngine(script.url, o)
  try {
    await run(engine, script)
  } finally {
    engine.close()
    await script.close()
  }
}

describe('the very bytes that an upstream is sent', () => {
  const heads: Record<string, { readonly ask: string; readonly gets: string; readonly body?: string }> = {
    'GET: lines apart and in their own case, bytes above ASCII, ours after the client’s': {
      ask: `GET /a%20b?x=%zz&y=1 HTTP/1.1\r\n${HEAD}X-Twice: 1\r\nx-twice: 2\r\nX-Latin: caf\xe9\r\nX-Empty:\r\nX-Tab: a\tb\r\nX_Forwarded_For: 9\r\n__proto__: x\r\n\r\n`,
      gets: 'GET /a%20b?x=%zz&y=1 HTTP/1.1\r\nhost: UP\r\nconnection: keep-alive\r\nX-Twice: 1\r\nx-twice: 2\r\nX-Latin: caf\xe9\r\nX-Empty: \r\nX-Tab: a\tb\r\n__proto__: x\r\nx-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\nx-forwarded-host: app.example.com\r\nX-User-ID: al\xc3\xafce',
    },
    'HEAD keeps its connection': {
      ask: `HEAD / HTTP/1.1\r\n${HEAD}\r\n`,
      gets: 'HEAD / HTTP/1.1\r\nhost: UP\r\nconnection: keep-alive',
    },
    'DELETE without a body says no length': {
      ask: `DELETE / HTTP/1.1\r\n${HEAD}Content-Length: 0\r\n\r\n`,
      gets: 'DELETE / HTTP/1.1\r\nhost: UP\r\nconnection: keep-alive',
    },
    'POST without a body says so': {
      ask: `POST / HTTP/1.1\r\n${HEAD}\r\n`,
      gets: 'POST / HTTP/1.1\r\nhost: UP\r\nconnection: keep-alive',
      body: 'content-length: 0\r\n\r\n',
    },
    'a body with its length': {
      ask: `POST / HTTP/1.1\r\n${HEAD}Content-Length: 4\r\nExpect: 100-continue\r\n\r\nbody`,
      gets: 'POST / HTTP/1.1\r\nhost: UP\r\nconnection: keep-alive',
      body: 'content-length: 4\r\n\r\nbody',
    },
    'a body in chunks is the last of its connection': {
      ask: `DELETE / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-User-ID: mallory\r\n\r\n`,
      gets: 'DELETE / HTTP/1.1\r\nhost: UP\r\nconnection: close',
      body: 'transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n',
    },
  }
  for (const [what, { ask, gets, body = '\r\n' }] of Object.entries(heads))
    test(what, async () => {
      const isWhole = (all: string): boolean => all.endsWith(`X-User-ID: al\xc3\xafce\r\n${body}`)
      await inEngine(
        (socket, all) => {
          if (isWhole(all)) socket.write(OK)
        },
        async (engine, script) => {
          assert.match(await sendBytes(engine.port, ask), /HTTP\/1\.1 200 OK\r\n/)
          const sent = (script.got[0] ?? '').replace(new URL(script.url).host, 'UP')
          assert.ok(sent.startsWith(gets), sent)
          assert.equal(sent.match(/content-length|transfer-encoding/gi)?.length ?? 0, body === '\r\n' ? 0 : 1)
        },
        { verdict: { set: [['X-User-ID', 'al\xc3\xafce']] } },
      )
    })

  test('a value that would end its line is sent to nobody', async () => {
    await inEngine(
      answering(OK),
      async (engine, script) => {
        assert.match(await sendBytes(engine.port, `GET / HTTP/1.1\r\n${HEAD}\r\n`), /^HTTP\/1\.1 502 /)
        assert.deepEqual(script.got.join(''), '')
      },
      { verdict: { set: [['X-User-ID', 'alice\r\nX-Admin: yes']] } },
    )
  })
})

test('an answer comes as it was: lines apart, their case, bytes above ASCII, its reason, no date of ours', async () => {
  const head =
    'HTTP/1.1 207 Fine Then\r\nX-Twice: 1\r\nx-twice: 2\r\nX-Latin: caf\xe9\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n'
  await inEngine(answering(`${head}Content-Length: 0\r\n\r\n`), async (engine) => {
    const got = await sendBytes(engine.port, `GET / HTTP/1.1\r\n${HEAD}\r\n`)
    assert.equal(got, `${head}Content-Length: 0\r\nConnection: close\r\n\r\n`)
  })
})

test('a body comes byte for byte, be it short or long, of known length, in chunks or until the end', async () => {
  for (const size of [1, 300, 4096, 4097, 70_000]) {
    const body = Buffer.from(Array.from({ length: size }, (_, i) => i % 256)).toString('latin1')
    for (const [framing, bytes] of [
      [`Content-Length: ${size}`, body],
      ['Transfer-Encoding: chunked', `${size.toString(16)}\r\n${body}\r\n0\r\n\r\n`],
      ['Connection: close', body],
    ] as const)
      await inEngine(
        (socket, all) => {
          if (all.endsWith('\r\n\r\n')) socket.end(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n${bytes}`, 'latin1')
        },
        async (engine) => {
          const res = await fetch(`http://127.0.0.1:${engine.port}/`)
          assert.ok(Buffer.from(await res.arrayBuffer()).equals(Buffer.from(body, 'latin1')), `${size}, ${framing}`)
        },
      )
  }
})

test('a reason that is not ASCII is left out, a 100 that nobody asked for and a 101 are no answers', async () => {
  for (const [said, gets] of [
    ['HTTP/1.1 200 sch\xf6n\r\nContent-Length: 0\r\n\r\n', /^HTTP\/1\.1 200 \r\n/],
    ['HTTP/1.1 200 sch\xc3\xb6n\r\nContent-Length: 0\r\n\r\n', /^HTTP\/1\.1 200 \r\n/],
    [`HTTP/1.1 100 Continue\r\n\r\n${OK}`, /^HTTP\/1\.1 502 /],
    [`HTTP/1.1 101 Switching Protocols\r\n\r\n${OK}`, /^HTTP\/1\.1 502 /],
    [`HTTP/1.1 102 Processing\r\n\r\n${OK}`, /^HTTP\/1\.1 200 OK\r\n/],
  ] as const)
    await inEngine(answering(said), async (engine) => {
      assert.match(await sendBytes(engine.port, `GET / HTTP/1.1\r\n${HEAD}\r\n`), gets)
    })
})

describe('a connection that its upstream closes', () => {
  for (const method of ['GET', 'POST'])
    test(`while it is idle costs the next ${method} nothing`, async () => {
      await inEngine(
        (socket, all) => {
          if (all.endsWith('\r\n\r\n')) socket.end(OK)
        },
        async (engine, script) => {
          for (let i = 1; i <= 3; i++) {
            assert.match(await sendBytes(engine.port, `${method} / HTTP/1.1\r\n${HEAD}\r\n`), /^HTTP\/1\.1 200 /)
            await until('its end', async () => script.sockets.size === 0)
          }
          assert.equal(requests(script), 3)
        },
      )
    })

  for (const method of ['GET', 'POST', 'DELETE'])
    test(`with a ${method} in hand is 502, and nothing is sent twice behind anybody’s back`, async () => {
      await inEngine(
        (socket, all) => {
          // The first is answered, so that the second comes on a connection that was used before.
          if (all.endsWith('\r\n\r\n')) {
            if (all.match(/HTTP\/1\.1\r\n/g)?.length === 1) socket.write(OK)
            else socket.destroy()
          }
        },
        async (engine, script) => {
          assert.match(await sendBytes(engine.port, `GET / HTTP/1.1\r\n${HEAD}\r\n`), /^HTTP\/1\.1 200 /)
          assert.match(await sendBytes(engine.port, `${method} / HTTP/1.1\r\n${HEAD}\r\n`), /^HTTP\/1\.1 502 /)
          assert.deepEqual([requests(script), script.got.length], [2, 1])
        },
      )
    })
})

describe('what an upstream says unasked is no answer to anybody', () => {
  const STOLEN = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen'
  for (const [when, say] of Object.entries({
    'right behind its answer': (socket: Socket) => socket.write(OK + STOLEN),
    'a little later': (socket: Socket) => socket.write(OK, () => setImmediate(() => socket.write(STOLEN))),
  }))
    test(when, async () => {
      await inEngine(
        (socket, all) => {
          if (all.endsWith('\r\n\r\n')) say(socket)
        },
        async (engine, script) => {
          for (let i = 1; i <= 5; i++) {
            const got = await sendBytes(engine.port, `GET / HTTP/1.1\r\n${HEAD}\r\n`)
            assert.match(got, /^HTTP\/1\.1 200 [^]*ok$/)
            await until('the end of its connection', async () => script.sockets.size === 0)
          }
        },
      )
    })
})

test('what an upstream says behind its answer is no answer to whoever waits for the connection', async () => {
  const script = await startScript(answering(OK))
  const connections = createConnections(1)
  const base = new URL(script.url)
  const ask = (answered: (free: () => void) => void): Promise<string> =>
    new Promise((resolve, reject) => {
      connections.take(base, (connection) => {
        let text = ''
        connection.send(
          { method: 'GET', path: '/' },
          {
            onRequestStart: () => undefined,
            onResponseStart: () => undefined,
            onResponseData: (_, chunk) => void (text += chunk.toString()),
            onResponseEnd: () => {
              answered(() => connection.free())
              resolve(text)
            },
            onResponseError: (_, e) => {
              connection.cut()
              reject(e)
            },
          },
        )
      })
    })
  const first = ask((free) => {
    free()
    // In the kernel before the next request is.
    for (const socket of script.sockets) socket.write(OK.replace('ok', 'no'))
  })
  const second = ask((free) => free())
  try {
    assert.deepEqual(await Promise.all([first, second]), ['ok', 'ok'])
  } finally {
    connections.close()
    await script.close()
  }
})

test('hints without end do not heap up before a client that takes none', async () => {
  const hints = `HTTP/1.1 103 Early Hints\r\nLink: </${'a'.repeat(8000)}>; rel=preload\r\n\r\n`.repeat(100)
  let ours: Socket | undefined
  let said = 0
  await inEngine(
    (socket) => {
      const say = (): void => void socket.write(hints, () => (++said === 40 ? socket.write(OK) : say()))
      say()
    },
    async (engine) => {
      const client = connect(engine.port, '127.0.0.1').pause()
      client.write(`GET / HTTP/1.1\r\n${HEAD}\r\n`)
      await until('all of them', async () => said === 40)
      assert.ok(ours !== undefined && ours.writableLength < 2_000_000, `${ours?.writableLength}`)
      client.resume()
      let end = ''
      for await (const chunk of client) end = (end + String(chunk)).slice(-1000)
      assert.match(end, /HTTP\/1\.1 200 OK\r\n[^]*ok$/)
    },
    {
      decide: (forward, req) => {
        ours = req.socket
        return forward
      },
    },
  )
})

test('a client of HTTP/1.0 is sent no hints, which it would take for the answer', async () => {
  await inEngine(answering(`HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\n\r\n${OK}`), async (engine) => {
    assert.match(await sendBytes(engine.port, 'GET / HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 [^]*ok$/)
  })
})

test('a trailer says nothing of how the answer is framed, and sets no cookie', async () => {
  const trailer = 'X-Sum: 1\r\nTransfer-Encoding: chunked\r\nConnection: x\r\nHost: x\r\nSet-Cookie: bff_session=x\r\n'
  await inEngine(
    answering(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${trailer}\r\n`),
    async (engine) => {
      const got = await sendBytes(engine.port, `GET / HTTP/1.1\r\n${HEAD}\r\n`)
      assert.match(got, /\r\n0\r\nx-sum: 1\r\n\r\n$/)
    },
  )
})

describe('a body', () => {
  test('that nobody takes, since the upstream is down, gets its sender an answer all the same', async () => {
    const engine = await startEngine('http://127.0.0.1:1')
    try {
      for (const framed of [
        'Content-Length: 4\r\n\r\nbody',
        'Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n',
      ]) {
        const got = await sendBytes(engine.port, `POST / HTTP/1.1\r\n${HEAD}${framed}`)
        assert.match(got, /^HTTP\/1\.1 502 [^]*X-BFF-Error: UPSTREAM_UNAVAILABLE/)
      }
    } finally {
      engine.close()
    }
  })

  test('whose upstream answers early and closes: the answer arrives', async () => {
    await inEngine(
      (socket) => {
        socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno')
      },
      async (engine) => {
        const req = request({ port: engine.port, method: 'POST', agent: false })
        req.on('error', () => undefined)
        req.write(Buffer.alloc(65_536))
        const [res] = (await once(req, 'response')) as [IncomingMessage]
        assert.equal(res.statusCode, 413)
        let text = ''
        for await (const chunk of res) text += String(chunk)
        assert.equal(text, 'no')
        req.destroy()
      },
    )
  })

  test('whose sender leaves is never ended as if it were whole', async () => {
    await inEngine(
      () => undefined,
      async (engine, script) => {
        const socket = connect(engine.port, '127.0.0.1')
        socket.on('error', () => undefined)
        socket.write(`POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n`)
        await until('the half', async () => script.got.join('').includes('half'))
        socket.destroy()
        await until('the cut', async () => script.sockets.size === 0)
        assert.ok(!script.got.join('').includes('0\r\n\r\n'))
      },
    )
  })
})

test('a client that leaves while its request waits for a connection is forgotten, and its place in the line too', async () => {
  const answers: (() => void)[] = []
  await inEngine(
    (socket, all) => {
      if (all.endsWith('\r\n\r\n')) answers.push(() => socket.write(OK))
    },
    async (engine, script) => {
      const first = sendBytes(engine.port, `GET /first HTTP/1.1\r\n${HEAD}\r\n`)
      await until('the first', async () => answers.length === 1)
      const leaves = connect(engine.port, '127.0.0.1')
      leaves.write(`GET /leaves HTTP/1.1\r\n${HEAD}\r\n`)
      await until('the second', async () => engine.proxy.stats().requests === 2)
      const third = sendBytes(engine.port, `GET /third HTTP/1.1\r\n${HEAD}\r\n`)
      await until('the third', async () => engine.proxy.stats().requests === 3)
      leaves.destroy()
      await until('its end', async () => engine.proxy.stats().requests === 2)
      answers[0]?.()
      await until('the third at the upstream', async () => answers.length === 2)
      answers[1]?.()
      for (const got of await Promise.all([first, third])) assert.match(got, /^HTTP\/1\.1 200 /)
      assert.ok(!script.got.join('').includes('/leaves'))
    },
    { limits: { maxSocketsPerUpstream: 1 } },
  )
})

test('a client that leaves while it is decided upon is forgotten', async () => {
  let decided: () => void = () => undefined
  const asked = new Promise<void>((resolve) => (decided = resolve))
  await inEngine(
    answering(OK),
    async (engine, script) => {
      const leaves = connect(engine.port, '127.0.0.1')
      leaves.write(`GET /leaves HTTP/1.1\r\n${HEAD}\r\n`)
      await until('it is there', async () => engine.proxy.stats().requests === 1)
      leaves.destroy()
      await until('its end', async () => engine.proxy.stats().requests === 0)
      decided()
      assert.match(await sendBytes(engine.port, `GET /stays HTTP/1.1\r\n${HEAD}\r\n`), /^HTTP\/1\.1 200 /)
      assert.ok(!script.got.join('').includes('/leaves'))
    },
    { decide: (forward) => asked.then(() => forward) },
  )
})

test('a client that leaves while its request is in hand frees its place for the next', async () => {
  await inEngine(
    (socket, all) => {
      if (all.includes('/answered')) socket.write(OK)
    },
    async (engine, script) => {
      const leaves = connect(engine.port, '127.0.0.1')
      leaves.write(`GET /leaves HTTP/1.1\r\n${HEAD}\r\n`)
      await until('it is there', async () => script.got.join('').includes('/leaves'))
      const next = sendBytes(engine.port, `GET /answered HTTP/1.1\r\n${HEAD}\r\n`)
      leaves.destroy()
      assert.match(await next, /^HTTP\/1\.1 200 /)
    },
    { limits: { maxSocketsPerUpstream: 1 } },
  )
})

test('R12 a 401 whose upstream closes at once is passed on whole where there is no other token', async () => {
  const token = { id: 'one' } as unknown as ServiceToken
  for (const length of ['Content-Length: 8\r\nConnection: close\r\n', ''])
    await inEngine(
      (socket, all) => {
        if (all.endsWith('\r\n\r\n')) socket.end(`HTTP/1.1 401 No\r\n${length}\r\nno token`)
      },
      async (engine, script) => {
        const got = await sendBytes(engine.port, `GET / HTTP/1.1\r\n${HEAD}\r\n`)
        assert.match(got, /^HTTP\/1\.1 401 No\r\n[^]*X-BFF-Error: UPSTREAM_REJECTED_TOKEN\r\n[^]*no token/)
        assert.equal(requests(script), 1)
      },
      {
        verdict: { token },
        // A decision that takes until the upstream's end has come.
        decide: (forward, _req, again) =>
          again === undefined
            ? forward
            : new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(forward)))),
      },
    )
})

test('R12 a 401 is passed on where the decision about another token fails', async () => {
  await inEngine(
    answering('HTTP/1.1 401 No\r\nContent-Length: 8\r\n\r\nno token'),
    async (engine) => {
      const got = await sendBytes(engine.port, `GET / HTTP/1.1\r\n${HEAD}\r\n`)
      assert.match(got, /^HTTP\/1\.1 401 No\r\n[^]*X-BFF-Error: UPSTREAM_REJECTED_TOKEN\r\n[^]*no token/)
    },
    {
      verdict: { token: { id: 'one' } as unknown as ServiceToken },
      decide: (forward, _req, again) => (again === undefined ? forward : Promise.reject(new Error('a bug'))),
    },
  )
})

test('an upstream over TLS is believed with a certificate of its name that a CA of the system signed, and else not', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'bff-test-'))
  const before = getCACertificates('default')
  assert.equal(
    certs(
      dir,
      { out: dir, hosts: [], force: false },
      () => undefined,
      () => undefined,
    ),
    0,
  )
  const read = (name: string): Buffer => readFileSync(join(dir, name))
  const server = createTls({ cert: read('bff.pem'), key: read('bff.key') }, (_req, res) => res.end('ok'))
  await new Promise<void>((resolve) => server.listen(0, resolve))
  const { port } = server.address() as AddressInfo
  const ask = async (host: string): Promise<string> => {
    const engine = await startEngine(`https://${host}:${port}`)
    try {
      return (await sendBytes(engine.port, `GET / HTTP/1.1\r\n${HEAD}\r\n`)).slice(9, 12)
    } finally {
      engine.close()
    }
  }
  try {
    assert.equal(await ask('localhost'), '502')
    setDefaultCACertificates([...before, read('ca.pem').toString()])
    assert.deepEqual([await ask('localhost'), await ask('127.0.0.1')], ['200', '200'])
    // An address of this machine that the certificate does not name.
    assert.equal(await ask('127.0.0.2'), '502')
  } finally {
    setDefaultCACertificates(before)
    server.closeAllConnections()
    server.close()
    rmSync(dir, { recursive: true, force: true })
  }
})
