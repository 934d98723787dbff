import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Server, createServer } from 'node:net'
import { test } from 'node:test'
import { freePort } from '../../demo/launcher/index.ts'
import { shut } from '../../listeners/shut.ts'
import { startDiallers } from '../support/diallers.ts'

/** Until so many were lost by a plain close, or so many closings. */
const LOST = 100
const CLOSINGS = 300

/** A server that answers each connection after some work, as a real one does: meanwhile the kernel's queue grows. */
async function listening(port: number): Promise<Server> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => {
      const until = performance.now() + 0.05
      while (performance.now() < until);
      socket.end('!')
    })
  })
  server.listen({ host: '127.0.0.1', port, reusePort: true })
  await once(server, 'listening')
  return server
}

test('a listener is shut beside its successor with less than a tenth of what a plain close loses', async (t) => {
  const plain = (server: Server): Promise<void> => {
    Server.prototype.close.call(server)
    return Promise.resolve()
  }
  const lossOf = async (
    close: (server: Server) => Promise<void>,
    enough: (lost: number, closings: number) => boolean,
  ) => {
    const port = await freePort()
    let now = await listening(port)
    const diallers = startDiallers(port, 16)
    t.after(() => diallers.stop())
    let [lost, closings] = [0, 0]
    while (!enough(lost, closings)) {
      const next = await listening(port)
      await diallers.more(50)
      await close(now)
      closings += 1
      ;({ lost } = await diallers.more(50))
      now = next
    }
    await diallers.stop()
    now.close()
    return { lost, closings }
  }
  const before = await lossOf(plain, (lost, closings) => lost >= LOST || closings >= CLOSINGS)
  assert.ok(before.lost >= LOST, `a plain close loses something, or this says nothing: ${JSON.stringify(before)}`)
  const after = await lossOf(shut, (_, closings) => closings >= before.closings)
  assert.ok(after.lost * 10 <= before.lost, JSON.stringify({ before, after }))
  t.diagnostic(JSON.stringify({ before, after }))
})
