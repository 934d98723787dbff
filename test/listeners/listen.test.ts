import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { freePort } from '../../demo/launcher/index.ts'
import { listen } from '../../listeners/listen.ts'
import { systemClock } from '../../middleware/clock.ts'
import { send } from '../support/client.ts'

/** One connection, refused or not. */
function knock(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.destroy())
    socket.on('error', () => undefined)
    socket.once('close', () => resolve())
  })
}

test('a listener that many knock at while it opens is open afterwards, each time', { timeout: 10_000 }, async () => {
  for (let round = 0; round < 20; round += 1) {
    const port = await freePort()
    const server = createServer((_req, res) => res.end('here'))
    let knocking = true
    const crowd = Array.from({ length: 6 }, async () => {
      while (knocking) await knock(port)
    })
    try {
      const { beside } = await listen(
        server,
        { host: '127.0.0.1', port },
        () => Promise.resolve('stranger'),
        systemClock,
      )
      knocking = false
      await Promise.all(crowd)
      const answer = await send(`http://127.0.0.1:${port}/`)
      assert.deepEqual([beside, answer.status, await answer.text()], [false, 200, 'here'])
    } finally {
      knocking = false
      await Promise.all(crowd)
      server.close()
      server.closeAllConnections()
    }
  }
})
