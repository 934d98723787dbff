import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { startRedis, until, type Redis } from '../../demo/launcher/index.ts'
import { closeFrame, createFrameTracker } from '../../proxy/frames.ts'
import type { Client } from '../support/client.ts'
import { ORIGIN, PUBLIC_HOST, startService, type Service, type ServiceOptions } from '../support/service.ts'
import { adminOf, startWire } from '../support/redis-world.ts'
import { startEngine } from './engine.ts'
import { startUpstream, type Upstream } from './upstream.ts'

let up: Upstream
before(async () => {
  up = await startUpstream()
  up.answer = (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write('data: 1\n\n')
  }
})
after(() => up.close())

const proxied = (more: Record<string, unknown> = {}): Pick<ServiceOptions, 'routes'> => ({
  routes: (r) => {
    r.services['orders'] = { base_url: up.url }
    r.routes.push({ id: 'live', path: '/live/*', target_service: 'orders', upstream_path: '/{path}', ...more })
  },
})

function dial(s: Service, client: Client): WebSocket {
  return new WebSocket(`${s.url.replace('http', 'ws')}/live/ws`, {
    headers: { 'x-forwarded-host': PUBLIC_HOST, origin: ORIGIN, cookie: client.header('/live') },
  })
}
async function listen(s: Service, client: Client): Promise<IncomingMessage> {
  const req = request(`${s.url}/live/events`, {
    agent: false,
    headers: { 'x-forwarded-host': PUBLIC_HOST, cookie: client.header('/live') },
  })
  req.end()
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  assert.equal(res.statusCode, 200)
  res.resume()
  return res
}
const closed = async (ws: WebSocket): Promise<[number, string]> => {
  const [code, reason] = (await once(ws, 'close')) as [number, Buffer]
  return [code, reason.toString()]
}

describe('streams and time', () => {
  test('a WebSocket that talks and an event stream end when the session has been idle: an open stream is no activity', async () => {
    const s = await startService({
      ...proxied(),
      settings: (base) => {
        base.session['idle_timeout'] = '2s'
      },
    })
    try {
      const client = await s.signIn()
      const ws = dial(s, client)
      await once(ws, 'open')
      const events = await listen(s, client)
      const talk = setInterval(() => ws.readyState === WebSocket.OPEN && ws.send('still here'), 100)
      const [end] = await Promise.all([closed(ws), once(events, 'end')])
      clearInterval(talk)
      assert.deepEqual(end, [1008, 'session ended'])
      assert.equal((await s.verify('/plain/1', { client })).status, 401)
    } finally {
      await s.stop()
    }
  })

  test('another request moves the end of an open stream on', async () => {
    const s = await startService({
      ...proxied(),
      settings: (base) => {
        base.session['idle_timeout'] = '3s'
      },
    })
    try {
      const client = await s.signIn()
      const ws = dial(s, client)
      await once(ws, 'open')
      const idleEnds = async (): Promise<number> =>
        Date.parse(
          ((await (await client.get('/api/auth/session')).json()) as { idle_expires_at: string }).idle_expires_at,
        )
      const first = await idleEnds()
      await until('the idle time moved', async () => {
        await s.verify('/plain/1', { client })
        return (await idleEnds()) > first
      })
      const moved = await idleEnds()
      await closed(ws)
      assert.ok(Date.now() >= moved, 'it stayed open until the new end')
    } finally {
      await s.stop()
    }
  })

  test('websocket_max_age ends one however alive its session is', async () => {
    const s = await startService(proxied({ websocket_max_age: '1s' }))
    try {
      const client = await s.signIn()
      const ws = dial(s, client)
      await once(ws, 'open')
      assert.deepEqual(await closed(ws), [1008, 'session ended'])
      assert.equal((await s.verify('/plain/1', { client })).status, 200)
    } finally {
      await s.stop()
    }
  })

  test('a stop of the service says "going away" to what would never end by itself', async () => {
    const s = await startService(proxied())
    const client = await s.signIn()
    const ws = dial(s, client)
    await once(ws, 'open')
    const events = await listen(s, client)
    const ended = Promise.all([closed(ws), once(events, 'end')])
    await s.stop()
    assert.deepEqual((await ended)[0], [1001, 'going away'])
  })
})

describe('streams on every replica', () => {
  let redis: Redis
  before(async () => {
    redis = await startRedis()
  })
  after(() => redis.stop())

  test('a sign-out on one replica ends what is open on another', async () => {
    const a = await startService({ ...proxied(), store: redis.url })
    const b = await startService({ ...proxied(), store: redis.url, issuer: a.provider.issuer })
    try {
      const client = await a.signIn()
      const ws = dial(b, client)
      await once(ws, 'open')
      const events = await listen(b, client)
      const ended = Promise.all([closed(ws), once(events, 'end')])
      const { csrf_token: token } = (await (await client.get('/auth/csrf')).json()) as { csrf_token: string }
      assert.equal((await client.post('/auth/logout', '', { 'x-csrf-token': token })).status, 200)
      assert.deepEqual((await ended)[0], [1008, 'session ended'])
      assert.equal((await b.verify('/plain/1', { client })).status, 401)
    } finally {
      await b.stop()
      await a.stop()
    }
  })

  test('a sign-out while a replica hears nothing of the store ends what is open there once it hears again, and nothing else', async () => {
    const wire = await startWire(redis.port)
    const a = await startService({ ...proxied(), store: redis.url })
    const b = await startService({ ...proxied(), store: `redis://127.0.0.1:${wire.port}`, issuer: a.provider.issuer })
    try {
      const [leaves, stays] = [await a.signIn(), await a.signIn()]
      const [gone, kept] = [dial(b, leaves), dial(b, stays)]
      await Promise.all([once(gone, 'open'), once(kept, 'open')])
      const events = await listen(b, leaves)
      wire.cut(true)
      await b.waitForLog((l) => l['msg'] === 'store_down')
      const { csrf_token: token } = (await (await leaves.get('/auth/csrf')).json()) as { csrf_token: string }
      assert.equal((await leaves.post('/auth/logout', '', { 'x-csrf-token': token })).status, 200)
      assert.equal(gone.readyState, WebSocket.OPEN, 'an outage ends nothing')
      const ended = Promise.all([closed(gone), once(events, 'end')])
      wire.accept()
      assert.deepEqual((await ended)[0], [1008, 'session ended'])
      await until('the other session', async () => (await b.verify('/plain/1', { client: stays })).status === 200)
      assert.equal(kept.readyState, WebSocket.OPEN)
      kept.terminate()
    } finally {
      await b.stop()
      await a.stop()
      await wire.close()
    }
  })

  test('a store that comes back without its data, or is emptied, ends what is open', async () => {
    const own = await startRedis()
    let again: Redis | undefined
    const s = await startService({ ...proxied(), store: own.url })
    try {
      const first = dial(s, await s.signIn())
      await once(first, 'open')
      own.child.kill('SIGKILL')
      await own.exited
      const ended = closed(first)
      again = await startRedis({ port: own.port })
      assert.deepEqual(await ended, [1008, 'session ended'])
      await s.waitForLog((l) => l['msg'] === 'store_up')
      const second = dial(s, await s.signIn())
      await once(second, 'open')
      const alsoEnded = closed(second)
      const admin = await adminOf(again.url)
      await admin.flushAll()
      admin.destroy()
      assert.deepEqual(await alsoEnded, [1008, 'session ended'])
    } finally {
      await s.stop()
      await again?.stop()
      await own.stop()
    }
  })
})

describe('bounds', () => {
  test('so many connections to an upstream and no more; what is over waits its turn and is answered', async () => {
    const engine = await startEngine(up.url, { limits: { maxSocketsPerUpstream: 2 } })
    const waiting: (() => void)[] = []
    let most = 0
    const before = up.answer
    up.answer = (_req, res) => {
      waiting.push(() => res.end('x'))
      most = Math.max(most, waiting.length)
    }
    try {
      const answers = Array.from({ length: 6 }, () => fetch(`http://127.0.0.1:${engine.port}/x`).then((r) => r.text()))
      let done = 0
      while (done < 6) {
        await until('one more at the upstream', async () => waiting.length > 0)
        waiting.splice(0).forEach((answer) => {
          done += 1
          answer()
        })
      }
      assert.deepEqual(await Promise.all(answers), Array(6).fill('x'))
      assert.ok(most <= 2)
    } finally {
      up.answer = before
      engine.close()
    }
  })

  test('a client that takes nothing of what waits for it is cut, and its upstream request with it', async () => {
    const engine = await startEngine(up.url, { limits: { stallTimeoutMs: 500 } })
    const before = up.answer
    const left = new Promise<void>((resolve) => {
      up.answer = (_req, res) => {
        res.once('close', () => resolve())
        const more = (): void => {
          while (!res.destroyed && res.write(Buffer.alloc(65_536)));
        }
        res.on('drain', more)
        more()
      }
    })
    const socket = connect(engine.port, '127.0.0.1')
    try {
      socket.on('error', () => undefined)
      socket.pause()
      socket.write(`GET /x HTTP/1.1\r\nHost: ${PUBLIC_HOST}\r\n\r\n`)
      await left
    } finally {
      up.answer = before
      socket.destroy()
      engine.close()
    }
  })
})

test('a frame of ours is only said where one of the upstream has ended', () => {
  const frame = (length: number, extra: Buffer): Buffer => Buffer.concat([extra, Buffer.alloc(length)])
  const bytes = Buffer.concat([
    frame(5, Buffer.from([0x81, 5])),
    frame(300, Buffer.from([0x82, 126, 1, 44])),
    frame(70_000, Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70])),
    closeFrame(1000, 'bye'),
  ])
  const ends = [7, 7 + 304, 7 + 304 + 70_010, bytes.length]
  for (const size of [1, 2, 3, 7, 64, 4096, bytes.length]) {
    const tracker = createFrameTracker()
    for (let at = 0; at < bytes.length; at += size) {
      tracker.feed(bytes.subarray(at, at + size))
      const now = Math.min(at + size, bytes.length)
      assert.equal(tracker.atBoundary(), ends.includes(now), `after ${now} bytes in pieces of ${size}`)
    }
  }
})
