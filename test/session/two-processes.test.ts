import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { freePort, start, until } from '../../demo/launcher/index.ts'
import { PUBLIC_HOST, startService } from '../support/service.ts'
import { send } from '../support/client.ts'
import { create, now, open } from '../support/stores.ts'

const CLI = join(import.meta.dirname, '..', '..', 'cli.ts')
const run = promisify(execFile)

describe('two server processes on one SQLite file', () => {
  test('share sessions: a sign-in at one counts at the other, an end at one is refused by the other at once', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-two-'))
    const port = await freePort()
    const s = await startService({ store: `sqlite:${join(dir, 'data', 'sessions.db')}` })
    s.rewrite({
      settings: (base) => {
        Object.assign(base.server, { listen: `127.0.0.1:${port}`, admin_listen: `127.0.0.1:0` })
      },
    })
    const second = start(process.execPath, [CLI, 'serve', '--config', s.dir])
    try {
      await until('the second server', async () => /traefik-bff ready/.test(second.output()), {
        running: second,
        timeoutMs: 60_000,
      })
      const at = async (client: Awaited<ReturnType<typeof s.signIn>>): Promise<number> =>
        (
          await send(`http://127.0.0.1:${port}/auth/verify`, {
            headers: {
              'x-forwarded-method': 'GET',
              'x-forwarded-proto': 'http',
              'x-forwarded-host': PUBLIC_HOST,
              'x-forwarded-uri': '/plain/1',
              'x-forwarded-for': '203.0.113.7',
              cookie: client.header('/plain/1'),
            },
          })
        ).status
      const [one, two] = [await s.signIn(), await s.signIn()]
      assert.deepEqual([await at(one), await at(two)], [200, 200])
      const csrf = ((await (await one.get('/auth/csrf')).json()) as { csrf_token: string }).csrf_token
      const copy = s.client()
      for (const [name, cookie] of one.cookies) copy.cookies.set(name, cookie)
      assert.equal((await one.post('/auth/logout', '', { 'x-csrf-token': csrf })).status, 200)
      assert.equal(await at(copy), 401)
      assert.equal(await at(two), 200)
      const { stdout } = await run(process.execPath, [CLI, 'sessions', 'revoke', '--all', '--config', s.dir])
      assert.match(stdout, /^1 session ended/)
      assert.deepEqual([await at(two), (await s.verify('/plain/1', { client: two })).status], [401, 401])
    } finally {
      await second.stop()
      await s.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test('exclude each other: of many that count a version up, each lands once, and a lease has one holder', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-two-'))
    const path = join(dir, 'data', 'sessions.db')
    const { stores } = await open(`sqlite:${path}`)
    const id = await create(stores)
    const work = join(import.meta.dirname, 'fixtures', 'count-up.ts')
    try {
      const outputs = await Promise.all([1, 2].map(() => run(process.execPath, [work, path, id, '40'])))
      const all = outputs.map((o) => JSON.parse(o.stdout) as { done: number; fences: number[] })
      assert.deepEqual(
        all.map((r) => r.done),
        [40, 40],
      )
      assert.equal((await stores.sessions.load(id))?.state.authTime, 80)
      const fences = all.flatMap((r) => r.fences)
      assert.equal(new Set(fences).size, fences.length, 'no fence was given twice')
      await stores.sessions.revokeAll(now())
      assert.equal(await stores.sessions.load(id), undefined)
    } finally {
      await stores.close()
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

test('sessions list --json is one array however many there are, and the pipe may close early', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'bff-many-'))
  const store = `sqlite:${join(dir, 'data', 'sessions.db')}`
  const s = await startService({ store })
  const list = (...more: string[]): Promise<{ stdout: string }> =>
    run(process.execPath, [CLI, 'sessions', 'list', ...more, '--config', s.dir], { maxBuffer: 64 << 20 })
  try {
    assert.deepEqual(JSON.parse((await list('--json')).stdout), [])
    await s.signIn()
    const { secret } = await import('../../config/secret.ts')
    const many = await open(store, { secrets: [secret('demo-only-session-secret-0123456789abcdef')] })
    for (let i = 0; i < 2000; i++) await create(many.stores, { userAgent: 'x'.repeat(200) })
    await many.stores.close()
    const sessions = JSON.parse((await list('--json')).stdout) as Record<string, unknown>[]
    assert.equal(sessions.length, 2001)
    assert.deepEqual(Object.keys(sessions[0] ?? {}), [
      'id',
      'sub',
      'issuer',
      'provider',
      'created_at',
      'expires_at',
      'idle_expires_at',
      'ip',
      'user_agent',
    ])
    assert.match((await list()).stdout, /\n2001 sessions\n$/)
    const { stdout } = await run('/bin/sh', [
      '-c',
      `"${process.execPath}" "${CLI}" sessions list --config "${s.dir}" 2>&1 | head -n 1`,
    ])
    assert.equal(stdout, 'SESSION\tUSER\tISSUER\tSINCE\tUNTIL\tADDRESS\tDEVICE\n')
  } finally {
    await s.stop()
    rmSync(dir, { recursive: true, force: true })
  }
})
