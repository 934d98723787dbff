import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { canListen, findRedis, findTraefik, freePort, start, until, type Running } from '../../demo/launcher/index.ts'

const run = promisify(execFile)
const MAIN = join(import.meta.dirname, '..', '..', 'demo', 'main.ts')

/** Every process below one, by /proc. */
function descendants(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
    } catch {
      // It ended while we looked.
    }
  }
  const below = (of: number): number[] =>
    [...parents].filter(([, p]) => p === of).flatMap(([child]) => [child, ...below(child)])
  return below(pid)
}

function alive(pid: number): boolean {
  try {
    // A zombie has ended, and waits only to be asked how.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

async function startDemo(port: number): Promise<Running> {
  const demo = start(process.execPath, [MAIN], { env: { ...process.env, DEMO_PORT: String(port) } })
  return demo
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`the demo says where it is and what to click, and ${signal} leaves no process behind`, async () => {
    const port = await freePort(2)
    const demo = await startDemo(port)
    try {
      await until('the demo', async () => demo.output().includes(`demo ready http://localhost:${port}`), {
        running: demo,
      })
      assert.match(demo.output(), /alice or bob, password demo/)
      assert.equal((await fetch(`http://localhost:${port}/`)).status, 200)
      assert.equal((await fetch(`http://localhost:${port}/orders/1`)).status, 401)
      const children = descendants(demo.pid)
      assert.ok(children.length >= 2, 'Traefik and the service')
      process.kill(demo.pid, signal)
      assert.equal(await demo.exited, '0')
      await until('all gone', async () => !children.some(alive))
    } finally {
      await demo.stop()
    }
  })
}

test('SIGTERM while the demo starts leaves no process behind either', async () => {
  const port = await freePort(2)
  const demo = await startDemo(port)
  try {
    await until('something started', async () => descendants(demo.pid).length > 0, { running: demo })
    const children = descendants(demo.pid)
    process.kill(demo.pid, 'SIGTERM')
    await demo.exited
    await until('all gone', async () => ![...children, ...descendants(demo.pid)].some(alive))
    assert.ok(await canListen(port))
  } finally {
    await demo.stop()
  }
})

for (const offset of [0, 1]) {
  test(`a taken port (${offset === 0 ? "Traefik's" : "the provider's"}) is one clear sentence and exit 1`, async () => {
    const port = await freePort(2)
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(port + offset, '127.0.0.1', resolve))
    try {
      const failed = await run(process.execPath, [MAIN], { env: { ...process.env, DEMO_PORT: String(port) } }).then(
        () => undefined,
        (e: unknown) => e as { code: number; stderr: string },
      )
      assert.equal(failed?.code, 1)
      assert.match(failed.stderr, new RegExp(`port ${port + offset} is taken`))
      assert.equal(failed.stderr.trim().split('\n').length, 1)
    } finally {
      taken.close()
    }
  })
}

test('a program that an environment variable names wrongly is an error that names the variable', async () => {
  for (const [name, find] of [
    ['TRAEFIK_BIN', findTraefik],
    ['REDIS_BIN', findRedis],
  ] as const) {
    const before = process.env[name]
    process.env[name] = '/bin/false'
    try {
      await assert.rejects(find(), new RegExp(`${name}=/bin/false does not run`))
    } finally {
      if (before === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = before
    }
  }
})
