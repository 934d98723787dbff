import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { systemClock } from '../../middleware/clock.ts'
import { createLate } from '../../middleware/late.ts'
import { createLateProxy, type LateProxy } from '../../proxy/late.ts'
import { PUBLIC_HOST } from '../support/service.ts'
import { letThrough } from '../support/verdict.ts'
import { startUpstream } from './upstream.ts'

/** A proxy that nobody has loaded, behind a server. */
async function startLate(base: string): Promise<{ proxy: LateProxy; server: Server; url: string }> {
  const target = { base: new URL(base), path: '/ws', query: '', publicPath: '/ws', upstreamPath: '/ws' }
  const verdict = letThrough(target, { forwarded: { for: '127.0.0.1', proto: 'http', host: PUBLIC_HOST } })
  const proxy = createLateProxy({
    decide: () => verdict,
    errorAnswer: (_code, status) => ({ status, headers: [], body: '' }),
    onEnded: () => () => undefined,
    emit: () => undefined,
    clock: systemClock,
    cookieName: 'bff_session',
  })
  const server = createServer((req, res) => proxy.handleRequest(req, res))
  server.on('upgrade', (req, socket, head) => proxy.handleUpgrade(req, socket, head))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { proxy, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

test('a request and a handshake that come before the proxy is loaded wait for it, their bytes too', async () => {
  const up = await startUpstream()
  up.answer = (req, res) => void req.pipe(res)
  const { proxy, server, url } = await startLate(up.url)
  try {
    const body = 'x'.repeat(200_000)
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`)
    const [answers] = await Promise.all([
      Promise.all([1, 2].map(() => fetch(url, { method: 'POST', body }).then((r) => r.text()))),
      once(socket, 'open'),
    ])
    assert.deepEqual(answers, [body, body])
    socket.send('hello')
    assert.equal(String((await once(socket, 'message'))[0]), 'hello')
    socket.terminate()
  } finally {
    server.closeAllConnections()
    server.close()
    proxy.close()
    await up.close()
  }
})

test('what failed to load is loaded by the next who wants it, and once for all who want it at once', async () => {
  let tries = 0
  const late = createLate(async () => {
    tries += 1
    if (tries === 1) throw new Error('not now')
    return tries
  })
  await assert.rejects(late.load(), /not now/)
  assert.equal(late.now(), undefined)
  assert.deepEqual(await Promise.all([late.load(), late.load()]), [2, 2])
  assert.equal(late.now(), 2)
})
