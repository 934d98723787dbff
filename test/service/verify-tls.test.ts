import assert from 'node:assert/strict'
import { copyFileSync, readFileSync } from 'node:fs'
import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import { request } from 'node:https'
import { createServer, type Server } from 'node:http'
import { connect as connectTcp, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { after, before, describe, test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { certs } from '../../commands/certs.ts'
import { until, type Running } from '../../demo/launcher/index.ts'
import { send } from '../support/client.ts'
import { frame, PREFACE } from '../support/frames.ts'
import {
  freePort,
  headerMode,
  startLoad,
  startReplicas,
  through,
  type Load,
  type Replicas,
} from '../support/replicas.ts'

const TOLD = { 'x-forwarded-method': 'GET', 'x-forwarded-host': 'localhost:8000', 'x-forwarded-uri': '/open/1' }

let r: Replicas
let tls: string
/** An issuer that takes connections and says nothing: whoever checks its tokens waits. */
let mute: Server
let mutePort: number
before(async () => {
  mute = createServer(() => undefined)
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
  mutePort = (mute.address() as AddressInfo).port
  r = await startReplicas(
    [
      { id: 'open', path: '/open/*', auth: 'public' },
      { id: 'machine', path: '/machine/*', bearer: ['partner'] },
      { id: 'api', path: '/api/*', auth: 'public', csrf: 'off', target_service: 'orders', upstream_path: '/v1/{path}' },
    ],
    (port) => ({ orders: { base_url: `http://127.0.0.1:${port}` } }),
  )
  tls = join(r.dir, 'tls')
  makeCerts(tls)
  makeCerts(join(r.dir, 'foreign'))
})
after(async () => {
  await r.stop()
  mute.closeAllConnections()
  mute.close()
})

const machines = (): Record<string, unknown> => ({
  bearer_issuers: { partner: { issuer: `http://127.0.0.1:${mutePort}`, audience: 'api' } },
})
const begin = (name: string, server: Record<string, unknown>): Promise<Running> => r.start(name, server, machines())

function makeCerts(out: string, force = false): void {
  const quiet = (): void => undefined
  assert.equal(certs(r.dir, { out, hosts: [], force }, quiet, quiet), 0)
}

const pem = (name: string, dir = tls): string => readFileSync(join(dir, name), 'utf8')
const asTraefik = (dir = tls): { ca: string; cert: string; key: string } => ({
  ca: pem('ca.pem'),
  cert: pem('traefik.pem', dir),
  key: pem('traefik.key', dir),
})

interface Addresses {
  readonly port: number
  readonly admin: number
  readonly server: Record<string, unknown>
}

/** Nobody is in trusted_proxies: the certificate is the proof. */
async function addresses(more: Record<string, unknown> = {}, dir = tls): Promise<Addresses> {
  const [listen, port, admin] = [await freePort(), await freePort(), await freePort()]
  const server = {
    listen: `127.0.0.1:${listen}`,
    verify_listen: `127.0.0.1:${port}`,
    admin_listen: `127.0.0.1:${admin}`,
    verify_tls: { cert: join(dir, 'bff.pem'), key: join(dir, 'bff.key'), client_ca: join(dir, 'ca.pem') },
    trusted_proxies: [],
    ...more,
  }
  return { port, admin, server }
}

/** Traefik with the middleware over HTTPS, as `traefik-bff certs` prints it. */
async function traefikBefore(port: number): Promise<{ web: number; stop: () => Promise<void> }> {
  const web = await freePort()
  const more = { tls: { ca: join(tls, 'ca.pem'), cert: join(tls, 'traefik.pem'), key: join(tls, 'traefik.key') } }
  const traefik = await r.traefik(headerMode(`https://127.0.0.1:${port}/auth/verify`, r.upstreamPort, more), web)
  await until('a yes', async () => (await through(web, '/open/1')).status === 200, { running: traefik })
  return { web, stop: () => traefik.stop() }
}

interface Got {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
}

function ask(
  session: ClientHttp2Session,
  path: string,
  headers: Record<string, string | string[]> = TOLD,
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': path, ...headers })
    stream.once('error', reject)
    stream.once('response', (h) => {
      stream.resume()
      stream.once('end', () => resolve({ status: h[':status'] ?? 0, headers: h }))
    })
    stream.end()
  })
}

function askHttp1(port: number, path: string, more: object): Promise<Got> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, path, headers: TOLD, agent: false, ...more }, (res) => {
      res.resume()
      res.once('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers }))
    })
    req.once('error', reject)
    req.end()
  })
}

/** Over HTTP/2 the refusal of a certificate comes after the handshake (TLS 1.3), as an alert. */
function isRefused(port: number, more: object, alpn: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTls({ host: '127.0.0.1', port, ALPNProtocols: [alpn], ...more })
    socket.once('error', () => resolve(true))
    socket.once('close', () => resolve(true))
    // A server that lets us in speaks first over HTTP/2, or answers over HTTP/1.1.
    socket.once('data', () => resolve(false))
    socket.once('secureConnect', () =>
      socket.write(alpn === 'h2' ? 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' : 'GET /auth/health HTTP/1.1\r\nHost: x\r\n\r\n'),
    )
  })
}

describe('verify_listen', () => {
  let at: Addresses
  let p: Running
  let session: ClientHttp2Session
  before(async () => {
    at = await addresses()
    p = await begin('verify', at.server)
    session = connectHttp2(`https://127.0.0.1:${at.port}`, { ...asTraefik(), maxSendHeaderBlockLength: 2_000_000 })
  })
  after(async () => {
    session.destroy()
    await p.stop()
  })

  test('answers checks over HTTP/2 and over HTTP/1.1; a client certificate is the proof that trusted_proxies would be', async () => {
    for (const got of [
      await ask(session, '/auth/verify'),
      await ask(session, '/auth/forward'),
      await askHttp1(at.port, '/auth/verify', asTraefik()),
    ]) {
      assert.equal(got.status, 200)
      assert.equal(got.headers['content-length'], '0')
    }
    const { headers } = await ask(session, '/auth/verify', { ...TOLD, cookie: ['a=1', 'bff_session=x', 'b=2'] })
    assert.equal(headers['cookie'], 'a=1; b=2', 'several cookie fields are one list')
    assert.equal(headers['connection'], undefined)
  })

  test('serves health for probes and nothing else: no sign-in, no proxied route, no admin', async () => {
    assert.equal((await ask(session, '/auth/health', {})).status, 200)
    for (const path of ['/auth/login', '/api/auth/session', '/api/1', '/open/1', '/metrics', '/'])
      for (const got of [await ask(session, path), await askHttp1(at.port, path, asTraefik())])
        assert.deepEqual([got.status, got.headers['x-bff-error']], [404, 'NO_ROUTE'], path)
  })

  test('refuses what it cannot read as itself, and goes on serving the session', async () => {
    const many = Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`x-${i}`, '1']))
    const twoHosts = { ...TOLD, ':authority': 'bff.internal', host: 'other.internal' }
    for (const [headers, status] of [
      [{ ...TOLD, 'x-forwarded-host': 'evil.example' }, 400],
      [{ ...TOLD, 'x-forwarded-server': 'traefik' }, 400],
      [{ ...TOLD, ':authority': 'localhost:8000' }, 400],
      [twoHosts, 400],
      [{ ...TOLD, 'x-big': 'x'.repeat(60_000) }, 431],
      // As Traefik lets it in by default, and sends it on before it has read our settings.
      [{ ...TOLD, 'x-big': 'x'.repeat(1_000_000) }, 431],
      [{ ...TOLD, ...many }, 431],
    ] as const) {
      const got = await ask(session, '/auth/verify', headers)
      assert.deepEqual([got.status, got.headers['x-bff-error']], [status, 'BAD_REQUEST'])
    }
    assert.equal((await ask(session, '/auth/verify')).status, 200)
  })

  test('a client without a certificate, or with a foreign one, gets no further than the handshake', async () => {
    for (const alpn of ['h2', 'http/1.1']) {
      assert.ok(await isRefused(at.port, { ca: pem('ca.pem') }, alpn), `none, ${alpn}`)
      assert.ok(await isRefused(at.port, asTraefik(join(r.dir, 'foreign')), alpn), `foreign, ${alpn}`)
      const own = { ca: pem('ca.pem'), cert: pem('bff.pem'), key: pem('bff.key') }
      assert.ok(await isRefused(at.port, own, alpn), `the server's own is no client's, ${alpn}`)
      assert.ok(!(await isRefused(at.port, asTraefik(), alpn)), `Traefik's, ${alpn}`)
    }
  })

  test('whatever frames a client sends, the session of another is served as before', async () => {
    const block = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      // `:method GET`, `:scheme https`, `:path /`, and perhaps more: what begins well reaches further.
      fc.uint8Array({ maxLength: 20 }).map((more) => Uint8Array.of(0x82, 0x87, 0x84, ...more)),
    )
    const any = fc
      .record({
        type: fc.oneof({ weight: 9, arbitrary: fc.nat(0x0a) }, { weight: 1, arbitrary: fc.nat(0xff) }),
        flags: fc.oneof(fc.constantFrom(0, 1, 4, 5), fc.nat(0xff)),
        stream: fc.oneof(fc.constantFrom(0, 1, 3, 5, 2 ** 31 - 1), fc.nat(100)),
        payload: block,
        claims: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(2 ** 24 - 1) }),
      })
      .map(({ type, flags, stream, payload, claims }) =>
        frame(type, flags, stream, payload, claims === 0 ? payload.length : claims),
      )
    await fc.assert(
      fc.asyncProperty(fc.array(any, { minLength: 1, maxLength: 30 }), async (frames) => {
        const socket = connectTls({ host: '127.0.0.1', port: at.port, ALPNProtocols: ['h2'], ...asTraefik() })
        const closed = new Promise((resolve) => socket.once('close', resolve))
        socket.on('error', () => undefined)
        socket.resume()
        socket.end(Buffer.concat([PREFACE, frame(4, 0, 0), ...frames]))
        await closed
        assert.equal((await ask(session, '/auth/verify')).status, 200)
      }),
      { numRuns: 150 },
    )
  })

  test('a client that has ended its own side is answered', async () => {
    const socket = connectTls({ host: '127.0.0.1', port: at.port, ALPNProtocols: ['h2'], ...asTraefik() })
    const parts: Buffer[] = []
    socket.on('data', (part: Buffer) => parts.push(part))
    await once(socket, 'secureConnect')
    await until('its settings', async () => parts.length > 0, { running: p })
    // Stopped, so that the request and its end are read at once.
    process.kill(p.pid, 'SIGSTOP')
    parts.length = 0
    socket.end(Buffer.concat([PREFACE, frame(4, 0, 0), frame(1, 5, 1, [0x82, 0x87, 0x84])]))
    await once(socket, 'finish')
    process.kill(p.pid, 'SIGCONT')
    await once(socket, 'close')
    // The end of the settings' acknowledgement, and the beginning of an answer's headers.
    assert.match(Buffer.concat(parts).toString('hex'), /040100000000.{6}0104/)
  })

  test('without client_ca a stranger gets in and is not believed', async () => {
    const plain = await addresses({ verify_tls: { cert: join(tls, 'bff.pem'), key: join(tls, 'bff.key') } })
    const q = await begin('plain', plain.server)
    const other = connectHttp2(`https://127.0.0.1:${plain.port}`, { ca: pem('ca.pem') })
    assert.deepEqual((await ask(other, '/auth/verify')).headers['x-bff-error'], 'BAD_REQUEST')
    assert.match(q.output(), /untrusted_peer peer=127\.0\.0\.1/)
    other.destroy()
    await q.stop()
  })
})

test('changed certificate files count for new connections; a pair that does not fit keeps the old one and says so', async () => {
  const dir = join(r.dir, 'rotated')
  makeCerts(dir)
  const at = await addresses({}, dir)
  const p = await begin('rotating', at.server)
  const shown = (): Promise<string | undefined> =>
    new Promise((resolve, reject) => {
      const socket = connectTls({ host: '127.0.0.1', port: at.port, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber)
        socket.destroy()
      })
      socket.once('error', reject)
    })
  const first = await shown()
  copyFileSync(join(tls, 'bff.key'), join(dir, 'bff.key'))
  await until('a refusal', async () => p.output().includes('certificate_reload_failed'), { running: p })
  assert.equal(await shown(), first)
  makeCerts(dir, true)
  await until('the new certificate', async () => (await shown()) !== first, { running: p })
  assert.match(p.output(), /"msg":"certificate_reloaded"/)
  const session = connectHttp2(`https://127.0.0.1:${at.port}`, { ...asTraefik(dir), ca: pem('ca.pem', dir) })
  assert.equal((await ask(session, '/auth/verify')).status, 200)
  session.destroy()
  await p.stop()
})

describe('one session carries the checks of everybody, through a real Traefik', () => {
  let at: Addresses
  let p: Running
  let traefik: Awaited<ReturnType<typeof traefikBefore>>
  before(async () => {
    at = await addresses()
    p = await begin('shared', at.server)
    traefik = await traefikBefore(at.port)
  })
  after(async () => {
    await traefik.stop()
    await p.stop()
  })
  const load = (t: TestContext, clients = 16): Load => {
    const running = startLoad(`http://127.0.0.1:${traefik.web}/open/1`, { clients })
    t.after(() => running.stop())
    return running
  }

  test('thousands of requests that a client gives up cost nobody else one', async (t) => {
    const others = load(t)
    const part = (o: object): string => Buffer.from(JSON.stringify(o)).toString('base64url')
    const token = [
      part({ alg: 'RS256', kid: 'k' }),
      part({ iss: `http://127.0.0.1:${mutePort}`, aud: 'api', sub: 'm', exp: 4e9 }),
      'AAAA',
    ].join('.')
    const giveUp = (): Promise<void> =>
      new Promise((resolve) => {
        const socket = connectTcp({ port: traefik.web, host: '127.0.0.1' }, () => {
          socket.write(`GET /machine/1 HTTP/1.1\r\nHost: localhost:8000\r\nAuthorization: Bearer ${token}\r\n\r\n`)
          // Not at once: Traefik would not even ask. The check waits for keys that never come.
          setTimeout(() => socket.destroy(), 30)
        })
        socket.once('error', () => undefined)
        socket.once('close', () => resolve())
      })
    for (let round = 0; round < 30; round += 1) await Promise.all(Array.from({ length: 100 }, giveUp))
    await others.more(100)
    assert.deepEqual(await others.stop(), {})
  })

  test('large headers, and very many, are refused to who sends them and to nobody else', async (t) => {
    const others = load(t)
    const big = (kb: number): Record<string, string> => ({ 'x-big': 'x'.repeat(kb * 1024) })
    const lines = (n: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: n }, (_, i) => [`x-${i}`, '1']))
    for (let round = 0; round < 3; round += 1) {
      const told = await Promise.all(
        [big(20), big(50), lines(1200)].flatMap((h) =>
          Array.from({ length: 20 }, () => through(traefik.web, '/open/1', h)),
        ),
      )
      for (const res of told) assert.deepEqual([res.status, res.headers.get('x-bff-error')], [431, 'BAD_REQUEST'])
      // Larger ones Traefik does not even send, since our settings say so: they are its own 500, to that client.
      const refused = await Promise.all([big(100), big(300), big(900)].map((h) => through(traefik.web, '/open/1', h)))
      for (const res of refused) assert.notEqual(res.status, 200)
    }
    await others.more(100)
    assert.deepEqual(await others.stop(), {})
  })

  test('more checks at once than a session takes streams wait for nothing', async (t) => {
    const many = load(t, 400)
    await many.more(2000)
    assert.deepEqual(await many.stop(), {})
  })

  test('a client that does not read its answer holds up nobody', async (t) => {
    const slow = Array.from({ length: 50 }, () => {
      const socket = connectTcp({ port: traefik.web, host: '127.0.0.1' })
      socket.on('error', () => undefined)
      socket.pause()
      socket.write('GET /open/1 HTTP/1.1\r\nHost: localhost:8000\r\n\r\n'.repeat(20))
      return socket
    })
    const others = load(t)
    await others.more(500)
    assert.deepEqual(await others.stop(), {})
    for (const socket of slow) socket.destroy()
  })
})

async function decisions(admin: number): Promise<number> {
  const text = await (await send(`http://127.0.0.1:${admin}/metrics`)).text()
  return [...text.matchAll(/^bff_decisions_total\{.*\} (\d+)$/gm)].reduce((sum, m) => sum + Number(m[1]), 0)
}

test('sessions end now and then, so that a replica that came later gets its share, and no check is lost by it', async (t) => {
  const at = await addresses({ verify_session_age: '1s' })
  const first = await begin('aging', at.server)
  const traefik = await traefikBefore(at.port)
  const admin = await freePort()
  const second = await begin('younger', { ...at.server, admin_listen: `127.0.0.1:${admin}` })
  const load = startLoad(`http://127.0.0.1:${traefik.web}/open/1`, { clients: 8 })
  t.after(() => load.stop())
  await until('a check at the second', async () => (await decisions(admin)) > 0, { running: second, timeoutMs: 60_000 })
  await load.more(500)
  assert.deepEqual(await load.stop(), {})
  await traefik.stop()
  await Promise.all([first.stop(), second.stop()])
})

test('a rolling restart under load over HTTP/2, the successor first, loses nothing', async (t) => {
  const at = await addresses({ drain_delay: '1s' })
  let now = await begin('h2-0', at.server)
  const traefik = await traefikBefore(at.port)
  const load = startLoad(`http://127.0.0.1:${traefik.web}/open/1`)
  t.after(() => load.stop())
  await load.more(300)
  for (let round = 1; round <= 4; round += 1) {
    const next = await begin(`h2-${round}`, at.server)
    await load.more(200)
    process.kill(now.pid, 'SIGTERM')
    assert.equal(await now.exited, '0')
    await load.more(200)
    now = next
  }
  assert.deepEqual(await load.stop(), {})
  await traefik.stop()
  await now.stop()
})

test('a process that is stuck answers no probe, so that a liveness probe on the verify listener finds it', async () => {
  const at = await addresses()
  const p = await begin('stuck', at.server)
  const alive = (): Promise<boolean> =>
    askHttp1(at.port, '/auth/health', { ...asTraefik(), timeout: 1000, signal: AbortSignal.timeout(1000) }).then(
      (got) => got.status === 200,
      () => false,
    )
  await until('alive', alive, { running: p })
  process.kill(p.pid, 'SIGSTOP')
  assert.equal(await alive(), false)
  process.kill(p.pid, 'SIGKILL')
  assert.equal(await p.exited, 'SIGKILL')
})

test('a port of verify_listen that is taken by another certificate stops the start with a sentence', async () => {
  const at = await addresses()
  const p = await begin('holder', at.server)
  const foreign = await addresses({ verify_listen: at.server['verify_listen'] }, join(r.dir, 'foreign'))
  const other = await r.fails('other', foreign.server, machines())
  assert.deepEqual([other.code, /EADDRINUSE/.test(other.said)], ['1', true])
  await p.stop()
})
