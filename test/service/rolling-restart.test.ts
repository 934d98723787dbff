import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { until, type Running } from '../../demo/launcher/index.ts'
import { send } from '../support/client.ts'
import { freePort, headerMode, startLoad, startReplicas, through, type Replicas } from '../support/replicas.ts'

const ROUTES = [
  { id: 'open', path: '/open/*', auth: 'public' },
  { id: 'api', path: '/api/*', auth: 'public', csrf: 'off', target_service: 'orders', upstream_path: '/v1/{path}' },
]

let r: Replicas
before(async () => {
  r = await startReplicas(ROUTES, (port) => ({ orders: { base_url: `http://127.0.0.1:${port}` } }))
})
after(() => r.stop())

async function addresses(): Promise<{ port: number; admin: number; server: Record<string, unknown> }> {
  const [port, admin] = [await freePort(), await freePort()]
  return { port, admin, server: { listen: `127.0.0.1:${port}`, admin_listen: `127.0.0.1:${admin}` } }
}

const check = (port: number): Promise<Response> =>
  send(`http://127.0.0.1:${port}/auth/verify`, {
    headers: {
      'x-forwarded-method': 'GET',
      'x-forwarded-host': 'localhost:8000',
      'x-forwarded-uri': '/open/1',
      connection: 'keep-alive',
    },
  })
const isReady = async (admin: number): Promise<boolean> =>
  (await send(`http://127.0.0.1:${admin}/ready?scope=local`)).status === 200
const terminate = (p: Running): Promise<string> => {
  process.kill(p.pid, 'SIGTERM')
  return p.exited
}

describe('a port that is taken', () => {
  test('by a stranger who would share it, or by another deployment of ours, stops the start with a sentence', async () => {
    const { port, server } = await addresses()
    const stranger = createServer((_req, res) => res.end('hello'))
    await new Promise<void>((resolve) => stranger.listen({ port, host: '127.0.0.1', reusePort: true }, () => resolve()))
    const busy = await r.fails('beside-stranger', server)
    assert.deepEqual([busy.code, /EADDRINUSE.*Another process listens there/.test(busy.said)], ['1', true])
    stranger.closeAllConnections()
    await new Promise((resolve) => stranger.close(resolve))
    const first = await r.start('first', server)
    const other = await r.fails('other', server, {
      session: { secret: 'demo-only-another-secret-0123456789abcdef', store: 'sqlite::memory:' },
    })
    assert.deepEqual([other.code, /EADDRINUSE/.test(other.said)], ['1', true])
    assert.equal((await check(port)).status, 200, 'the one that was there is unhurt')
    await first.stop()
  })

  test('by the same deployment is shared, also where its secret was rotated meanwhile, or two start at once', async () => {
    const { port, server } = await addresses()
    const secrets = ['demo-only-session-secret-0123456789abcdef', 'demo-only-newer-secret-0123456789abcdef0']
    const first = await r.start('old', server)
    const [a, b] = await Promise.all([
      r.start('rotated', server, { session: { secret: secrets.reverse(), store: 'sqlite::memory:' } }),
      r.start('same', server),
    ])
    assert.match(a.output(), /listening beside another process of the same deployment/)
    assert.equal(await terminate(first), '0')
    assert.equal(await terminate(b), '0')
    assert.equal((await check(port)).status, 200)
    await a.stop()
    const { server: fresh } = await addresses()
    const both = await Promise.all([r.start('one', fresh), r.start('two', fresh)])
    await Promise.all(both.map((p) => p.stop()))
  })

  test('a stranger who asks for the proof of the deployment gets none', async () => {
    const { port, server } = await addresses()
    const p = await r.start('asked', server)
    for (const asked of ['x', `${'0'.repeat(32)}.${'A'.repeat(43)}`, `${'0'.repeat(32)}.`]) {
      const res = await send(`http://127.0.0.1:${port}/auth/health`, {
        headers: { 'X-BFF-Deployment': asked, host: 'localhost:8000' },
      })
      assert.deepEqual([res.status, res.headers.get('x-bff-deployment')], [200, null])
    }
    await p.stop()
  })
})

describe('SIGTERM', () => {
  test('says "not ready" while new connections are still answered and told to move; a second one ends it', async () => {
    const { port, admin, server } = await addresses()
    const p = await r.start('lame', { ...server, drain_delay: '10m' })
    await until('ready', () => isReady(admin))
    assert.equal((await check(port)).headers.get('connection'), 'keep-alive')
    process.kill(p.pid, 'SIGTERM')
    await until('not ready', async () => !(await isReady(admin)), { running: p })
    assert.equal((await send(`http://127.0.0.1:${admin}/ready`)).status, 503)
    const res = await check(port)
    assert.deepEqual([res.status, res.headers.get('connection')], [200, 'close'])
    // Sent again and again: at once it would be the same key, passed on by npm.
    const again = setInterval(() => p.child.kill('SIGTERM'), 100)
    assert.equal(await p.exited, '1')
    clearInterval(again)
  })

  test('ends an idle process at once where nobody asks for readiness, and Ctrl-C one that is asked', async () => {
    const { server } = await addresses()
    assert.equal(await terminate(await r.start('idle', { ...server, drain_delay: '10m' })), '0')
    const other = await addresses()
    const watched = await r.start('watched', { ...other.server, drain_delay: '10m' })
    await until('ready', () => isReady(other.admin))
    process.kill(watched.pid, 'SIGINT')
    assert.equal(await watched.exited, '0')
  })

  test('leaves a shared admin port to the successor, which alone says whether the address is ready', async () => {
    const { admin, server } = await addresses()
    const first = await r.start('before', { ...server, drain_delay: '10m' })
    await until('ready', () => isReady(admin))
    const next = await r.start('after', server)
    process.kill(first.pid, 'SIGTERM')
    await until('draining', async () => first.output().includes('"msg":"draining"'), { running: first })
    await until('one answer left', async () => {
      for (let i = 0; i < 30; i += 1) if (!(await isReady(admin))) return false
      return true
    })
    process.kill(first.pid, 'SIGKILL')
    await next.stop()
  })
})

describe('a rolling restart under load, through a real Traefik', () => {
  test('successor on the same port first, over HTTP/1.1: at most a stray check in thousands is lost', async (t) => {
    const { port, server } = await addresses()
    const web = await freePort()
    let now = await r.start('take-0', { ...server, drain_delay: '1s' })
    const traefik = await r.traefik(headerMode(`http://127.0.0.1:${port}/auth/verify`, r.upstreamPort), web)
    await until('a yes', async () => (await through(web, '/open/1')).status === 200, { running: traefik })
    const load = startLoad(`http://127.0.0.1:${web}/open/1`)
    t.after(() => load.stop())
    await load.more(300)
    for (let round = 1; round <= 4; round += 1) {
      const next = await r.start(`take-${round}`, { ...server, drain_delay: '1s' })
      await load.more(200)
      assert.equal(await terminate(now), '0')
      await load.more(200)
      now = next
    }
    const bad = await load.stop()
    // How rare a reset is beside a plain close is measured where a listener is shut.
    assert.ok(
      Object.values(bad).reduce((a, b) => a + b, 0) <= 2,
      `a reset in the kernel's queue is rare: ${JSON.stringify(bad)} of ${JSON.stringify([...load.statuses])}`,
    )
    await traefik.stop()
    await now.stop()
  })

  test('two replicas behind a balancer that checks readiness: no check and no proxied POST is lost', async (t) => {
    const [a, b] = [await addresses(), await addresses()]
    const [web, auth] = [await freePort(), await freePort()]
    let [one, two] = await Promise.all([r.start('one', a.server), r.start('two', b.server)])
    const traefik = await r.traefik(balanced(auth, [a, b], r.upstreamPort), web, {
      entryPoints: { web: { address: `127.0.0.1:${web}` }, auth: { address: `127.0.0.1:${auth}` } },
    })
    const ok = async (path: string): Promise<boolean> => (await through(web, path)).status === 200
    await until('a yes', async () => (await ok('/open/1')) && (await ok('/api/1')), { running: traefik })
    const checks = startLoad(`http://127.0.0.1:${web}/open/1`, { clients: 16 })
    const posts = startLoad(`http://127.0.0.1:${web}/api/1`, { clients: 8, method: 'POST', body: 'x'.repeat(2000) })
    t.after(() => Promise.all([checks.stop(), posts.stop()]))
    await Promise.all([checks.more(200), posts.more(200)])
    assert.equal(await terminate(one), '0')
    one = await r.start('one-again', a.server)
    await until('ready again', () => isReady(a.admin), { running: one })
    await Promise.all([checks.more(500), posts.more(500)])
    assert.equal(await terminate(two), '0')
    two = await r.start('two-again', b.server)
    await until('ready again', () => isReady(b.admin), { running: two })
    await Promise.all([checks.more(500), posts.more(500)])
    assert.deepEqual([await checks.stop(), await posts.stop()], [{}, {}])
    await traefik.stop()
    await Promise.all([one.stop(), two.stop()])
  })
})

/** Checks over a TCP service, since a router would add headers of its own; proxied routes over an HTTP one. Both ask /ready. */
function balanced(
  auth: number,
  replicas: readonly { readonly port: number; readonly admin: number }[],
  upstreamPort: number,
): Record<string, unknown> {
  const mode = headerMode(`http://127.0.0.1:${auth}/auth/verify`, upstreamPort) as {
    http: { routers: Record<string, unknown>; services: Record<string, unknown> }
  }
  const names = replicas.map((_, i) => `bff-${i}`)
  const ask = { interval: '200ms', timeout: '2s' }
  const weighted = { services: names.map((name) => ({ name, weight: 1 })), healthCheck: {} }
  mode.http.routers['api'] = { rule: 'PathPrefix(`/api/`)', entryPoints: ['web'], service: 'bff' }
  mode.http.services['bff'] = { weighted }
  const tcp: Record<string, unknown> = { bff: { weighted: { services: weighted.services, healthCheck: {} } } }
  replicas.forEach(({ port, admin }, i) => {
    mode.http.services[`bff-${i}`] = {
      loadBalancer: {
        servers: [{ url: `http://127.0.0.1:${port}` }],
        healthCheck: { path: '/ready?scope=local', port: admin, ...ask },
      },
    }
    tcp[`bff-${i}`] = {
      loadBalancer: {
        servers: [{ address: `127.0.0.1:${port}` }],
        healthCheck: {
          port: admin,
          send: 'GET /ready?scope=local HTTP/1.1\r\nHost: bff\r\nConnection: close\r\n\r\n',
          expect: 'HTTP/1.1 200 OK',
          ...ask,
        },
      },
    }
  })
  return {
    ...mode,
    tcp: { routers: { auth: { rule: 'HostSNI(`*`)', entryPoints: ['auth'], service: 'bff' } }, services: tcp },
  }
}
