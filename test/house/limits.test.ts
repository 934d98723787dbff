import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const LIMITS = join(import.meta.dirname, '..', 'limits.ts')

/** Runs one test file as `npm test` does; its exit code and what it printed. */
function run(source: string): Promise<{ code: number; said: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'bff-limits-'))
  const file = join(dir, 'some.test.mjs')
  writeFileSync(file, source)
  // A run inside a run would report to the outer one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', LIMITS, '--test', '--test-reporter=spec', file],
      { env: { ...env, TEST_FILE_ENDS_WITHIN_MS: '200' } },
      (e, stdout, stderr) => {
        rmSync(dir, { recursive: true })
        resolve({ code: e === null ? 0 : Number(e.code), said: stdout + stderr })
      },
    )
  })
}

test('a test file whose set-up failed and left a server open fails, and does not stop the run', async () => {
  const { code, said } = await run(`
    import { createServer } from 'node:net'
    import { before, test } from 'node:test'
    before(async () => {
      await new Promise((resolve) => createServer().listen(0, '127.0.0.1', resolve))
      throw new Error('the second part did not start')
    })
    test('anything', () => {})`)
  assert.equal(code, 1)
  assert.match(said, /the second part did not start/)
  assert.match(said, /is through its tests and keeps running after 0\.2 s; open: .*TCPServerWrap/)
})

test('a test file that leaves something open is a failure though its tests pass', async () => {
  const { code, said } = await run(`
    import { test } from 'node:test'
    test('passes', () => { setInterval(() => {}, 1000) })`)
  assert.equal(code, 1)
  assert.match(said, /keeps running after 0\.2 s; open: .*Timeout/)
})

test('a test file that ends is none', async () => {
  const { code, said } = await run(`
    import { test } from 'node:test'
    test('passes', async () => { await new Promise((resolve) => setTimeout(resolve, 300)) })`)
  assert.equal(code, 0, said)
})
