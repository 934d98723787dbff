/**
 * `node test/bench/websockets.ts [count]`: memory of the proxy that holds so many idle WebSockets. The proxy runs in a process
 * of its own; clients and the upstream in this one. Loopback only, bounded, and it ends by itself.
 */
import { fork } from 'node:child_process'
import { createServer } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { systemClock } from '../../middleware/clock.ts'
import type { EpochMs, SessionId } from '../../middleware/types.ts'
import { createProxy } from '../../proxy/proxy.ts'

interface Report {
  readonly port?: number
  readonly rssMb?: number
  readonly heapMb?: number
  readonly open?: number
}

if (process.argv[2] === 'proxy') runProxy(String(process.argv[3]))
else await runBench(Number(process.argv[2] ?? 10_000))

function runProxy(upstream: string): void {
  let n = 0
  const proxy = createProxy({
    decide: () => ({
      kind: 'forward',
      target: { base: new URL(upstream), path: '/ws', query: '', publicPath: '/ws', upstreamPath: '/ws' },
      forwarded: { for: '127.0.0.1', proto: 'http', host: 'localhost' },
      set: [['X-User-ID', 'alice']],
      removeNames: () => false,
      cookies: '',
      passAuthorization: false,
      timeoutMs: undefined,
      token: undefined,
      openUntil: (Date.now() + 3_600_000) as EpochMs,
      sessionId: `session-${n++}` as SessionId,
      routeId: 'ws',
      service: undefined,
      correlationId: 'bench',
    }),
    errorAnswer: (_code, status) => ({ status, headers: [] }),
    onEnded: () => () => undefined,
    emit: () => undefined,
    clock: systemClock,
    cookieName: 'bff_session',
  })
  const server = createServer()
  server.on('upgrade', (req, socket, head) => proxy.handleUpgrade(req, socket, head))
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
  process.on('message', () => {
    globalThis.gc?.()
    const { rss, heapUsed } = process.memoryUsage()
    process.send?.({ rssMb: rss / 2 ** 20, heapMb: heapUsed / 2 ** 20, open: proxy.stats().webSockets })
  })
}

async function runBench(count: number): Promise<void> {
  const upstream = createServer()
  const held: Duplex[] = []
  upstream.on('upgrade', (_req, socket) => {
    held.push(socket)
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n',
    )
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', 8192, resolve))
  const child = fork(import.meta.filename, ['proxy', `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`], {
    execArgv: ['--expose-gc'],
  })
  const next = (): Promise<Report> => new Promise((resolve) => child.once('message', (m) => resolve(m as Report)))
  const { port = 0 } = await next()
  const measure = async (): Promise<Report> => {
    child.send('measure')
    return next()
  }
  const before = await measure()
  const clients: Socket[] = []
  for (let at = 0; at < count; at += 200) {
    await Promise.all(Array.from({ length: Math.min(200, count - at) }, () => open(port, clients)))
  }
  const after = await measure()
  const perSocketKb = (((after.rssMb ?? 0) - (before.rssMb ?? 0)) * 1024) / count
  console.log(
    JSON.stringify({
      websockets: after.open,
      rss_mb_before: round(before.rssMb),
      rss_mb: round(after.rssMb),
      heap_mb: round(after.heapMb),
      kb_each: round(perSocketKb),
    }),
  )
  child.kill()
  for (const s of [...clients, ...held]) s.destroy()
  upstream.closeAllConnections()
  upstream.close()
}

function open(port: number, clients: Socket[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    clients.push(socket)
    socket.once('error', reject)
    socket.once('data', () => resolve())
    socket.write(
      'GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
  })
}

function round(n: number | undefined): number {
  return Math.round((n ?? 0) * 10) / 10
}
