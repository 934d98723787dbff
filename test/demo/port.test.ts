import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { canListen, freePort } from '../../demo/launcher/index.ts'

const LAUNCHER = join(import.meta.dirname, '..', '..', 'demo', 'launcher', 'index.ts')
const run = promisify(execFile)

/** Enough that chance alone would give some of them twice, and fewer than a process may have open. */
const MANY = 300

/** What another process is given, `many` times; it lives until it is through. */
async function elsewhere(many: number): Promise<number[]> {
  const program = `const { freePort } = await import(${JSON.stringify(LAUNCHER)})
    const got = []
    for (let i = 0; i < ${many}; i++) got.push(await freePort())
    console.log(JSON.stringify(got))`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program])
  return JSON.parse(stdout) as number[]
}

test('no port is given twice, in one process or in several at once', async () => {
  const here: number[] = []
  while (here.length < MANY) here.push(await freePort())
  assert.equal(new Set(here).size, MANY)
  for (const there of await Promise.all([elsewhere(MANY), elsewhere(MANY)]))
    assert.equal(new Set([...here, ...there]).size, 2 * MANY)
})

test('one can listen on what was given, and on each of several in a row', async () => {
  const first = await freePort(3)
  for (const port of [first, first + 1, first + 2]) assert.ok(await canListen(port))
})

test('outgoing connections are never given one of those ports', async () => {
  const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/).map(Number)
  const port = await freePort()
  assert.ok(port < (range[0] ?? 0), `${port} is in ${range.join('-')}`)
})

test('a port on which somebody listens is not given', async () => {
  const port = await freePort()
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  assert.equal(await canListen(port), false)
  await new Promise((resolve) => server.close(resolve))
})
