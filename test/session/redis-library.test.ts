import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { startRedis } from '../../demo/launcher/index.ts'

const run = promisify(execFile)

test('a session in Redis is lived through without the files that the library has for each command; who wants them has them', async () => {
  const redis = await startRedis()
  try {
    const { stdout } = await run(process.execPath, [join(import.meta.dirname, 'fixtures', 'redis-files.ts'), redis.url])
    const loaded = JSON.parse(stdout) as { ours: string[]; whole: string; all: number }
    const commands = loaded.ours.filter((file) => file.startsWith('dist/lib/commands/'))
    assert.ok(loaded.ours.includes('dist/lib/client/index.js'))
    // Those that the client names itself: HELLO, ASKING, HIMPORT, and what they share.
    assert.ok(commands.length <= 8, commands.join(', '))
    assert.ok(loaded.ours.length <= 60, loaded.ours.join(', '))
    assert.equal(loaded.whole, '1')
    assert.ok(loaded.all > 400)
  } finally {
    await redis.stop()
  }
})
