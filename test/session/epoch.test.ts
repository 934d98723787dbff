import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFileSync, cpSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { createClient } from 'redis'
import { secret } from '../../config/secret.ts'
import { startRedis, until } from '../../demo/launcher/index.ts'
import type { EpochMs, SessionId } from '../../middleware/types.ts'
import { startService, type Service } from '../support/service.ts'
import { create, failing, named, now, open } from '../support/stores.ts'

const CLI = join(import.meta.dirname, '..', '..', 'cli.ts')
const run = promisify(execFile)
const revokeAll = (s: Service): Promise<{ stdout: string; stderr: string }> =>
  run(process.execPath, [CLI, 'sessions', 'revoke', '--all', '--config', s.dir])

async function command(url: string, ...args: string[]): Promise<unknown> {
  const client = await createClient({ url }).connect()
  try {
    return await client.sendCommand(args)
  } finally {
    client.destroy()
  }
}

describe('sessions revoke --all, and then a Redis restored from a snapshot of before', () => {
  test('revives nobody while the server runs on, which tells the store again; and who signs in anew is let in', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-snapshot-'))
    let redis = await startRedis({ dir })
    const s = await startService({ store: redis.url })
    try {
      const client = await s.signIn()
      assert.equal((await s.verify('/plain/1', { client })).status, 200)
      await command(redis.url, 'SAVE')
      copyFileSync(join(dir, 'dump.rdb'), join(dir, 'kept.rdb'))
      assert.match((await revokeAll(s)).stdout, /^1 session ended/)
      assert.equal((await s.verify('/plain/1', { client })).status, 401)
      await redis.stop()
      copyFileSync(join(dir, 'kept.rdb'), join(dir, 'dump.rdb'))
      redis = await startRedis({ dir, port: redis.port })
      assert.notEqual(Number(await command(redis.url, 'DBSIZE')), 0, 'the snapshot has the session')
      const answers = new Set<number>()
      await until('the store', async () => {
        const { status } = await s.verify('/plain/1', { client })
        answers.add(status)
        return status === 401
      })
      assert.ok(!answers.has(200))
      assert.equal((await client.get('/api/auth/session')).status, 401)
      await until('the store told', async () => Number(await command(redis.url, 'GET', 'bff:revoked_before')) > 0)
      assert.equal((await s.verify('/plain/1', { client: await s.signIn() })).status, 200)
      assert.equal((await s.verify('/plain/1', { client })).status, 401)
    } finally {
      await s.stop()
      await redis.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test('revives nobody where the servers were restarted with it: each keeps it in its state directory', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-snapshot-'))
    let redis = await startRedis({ dir })
    const stateDir = join(dir, 'deep', 'state')
    let server = await open(redis.url, { stateDir })
    try {
      const id = await create(server.stores)
      await command(redis.url, 'SAVE')
      copyFileSync(join(dir, 'dump.rdb'), join(dir, 'kept.rdb'))
      const operator = await open(redis.url)
      const at = now()
      await operator.stores.sessions.revokeAll(at)
      await operator.stores.close()
      await until('told', async () => server.stores.sessions.revokedBefore() === at)
      await server.stores.close()
      const [file = ''] = readdirSync(stateDir)
      assert.equal(statSync(join(stateDir, file)).mode & 0o777, 0o600)
      await redis.stop()
      copyFileSync(join(dir, 'kept.rdb'), join(dir, 'dump.rdb'))
      redis = await startRedis({ dir, port: redis.port })
      server = await open(redis.url, { stateDir })
      await until('the store', async () => !(await failing(async () => server.stores.sessions.load(id))))
      assert.equal(await server.stores.sessions.load(id), undefined)
      assert.deepEqual(await server.stores.sessions.find({ issuer: 'https://idp', sub: 'alice' }), [])
      assert.ok(await server.stores.sessions.loadToEnd(id), 'it is there, and not live')
      const other = await open(redis.url)
      await until('the others told', async () => (await other.stores.sessions.load(id)) === undefined)
      await other.stores.close()
    } finally {
      await server.stores.close()
      await redis.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

test('a SQLite file copied back while the server was stopped revives nobody', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'bff-snapshot-'))
  const path = join(dir, 'data', 'sessions.db')
  const before = await open(`sqlite:${path}`)
  const id = await create(before.stores)
  await before.stores.close()
  copyFileSync(path, join(dir, 'kept.db'))
  const server = await open(`sqlite:${path}`)
  const operator = await open(`sqlite:${path}`)
  assert.ok(await server.stores.sessions.load(id))
  await operator.stores.sessions.revokeAll(now())
  await operator.stores.close()
  await server.stores.close()
  copyFileSync(join(dir, 'kept.db'), path)
  const again = await open(`sqlite:${path}`)
  try {
    assert.equal(again.stores.sessions.load(id), undefined, 'at once, with no moment in which it lives')
    assert.ok(await create(again.stores).then((fresh) => again.stores.sessions.load(fresh)))
  } finally {
    await again.stores.close()
    rmSync(dir, { recursive: true, force: true })
  }
})

test('a restored folder of the database revives nobody where a state directory elsewhere has the moment too', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'bff-snapshot-'))
  const path = join(dir, 'data', 'sessions.db')
  const stateDir = mkdtempSync(join(tmpdir(), 'bff-state-'))
  const server = await open(`sqlite:${path}`, { stateDir })
  const id = await create(server.stores)
  await server.stores.close()
  cpSync(join(dir, 'data'), join(dir, 'kept'), { recursive: true })
  const operator = await open(`sqlite:${path}`, { stateDir })
  await operator.stores.sessions.revokeAll(now())
  await operator.stores.close()
  rmSync(join(dir, 'data'), { recursive: true })
  cpSync(join(dir, 'kept'), join(dir, 'data'), { recursive: true })
  const again = await open(`sqlite:${path}`, { stateDir })
  try {
    assert.equal(again.stores.sessions.load(id), undefined)
  } finally {
    await again.stores.close()
    for (const d of [dir, stateDir]) rmSync(d, { recursive: true, force: true })
  }
})

for (const kind of ['Redis', 'SQLite'] as const) {
  test(`${kind}: a replica that has the session at hand refuses it as soon as it is told`, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-told-'))
    const redis = kind === 'Redis' ? await startRedis() : undefined
    const store = redis?.url ?? `sqlite:${join(dir, 'data', 'sessions.db')}`
    const [a, b] = [await open(store), await open(store)]
    try {
      await until('a connection', async () => (await b.stores.sessions.health()).up)
      const id = await create(a.stores)
      await b.stores.sessions.load(id)
      assert.ok(!(b.stores.sessions.load(id) instanceof Promise), 'at hand')
      await a.stores.sessions.revokeAll(now())
      assert.equal(await a.stores.sessions.load(id), undefined)
      // Sooner than a round of asking, so it was told.
      await until('told', async () => b.stores.sessions.load(id) === undefined, { timeoutMs: 4500 })
    } finally {
      await a.stores.close()
      await b.stores.close()
      await redis?.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test(`${kind}: --all removes what cannot be opened too, and revokes above a clock that was ahead`, async () => {
    const redis = kind === 'Redis' ? await startRedis() : undefined
    const dir = mkdtempSync(join(tmpdir(), 'bff-all-'))
    const store = redis?.url ?? `sqlite:${join(dir, 'data', 'sessions.db')}`
    const s = await startService({ store })
    const strangers = await open(store)
    const mine = await open(store, { secrets: [secret('demo-only-session-secret-0123456789abcdef')] })
    try {
      for (let i = 0; i < 3; i++) await create(strangers.stores)
      const ahead = (now() + 60_000) as EpochMs
      await create(mine.stores, { createdAt: ahead })
      assert.match((await revokeAll(s)).stdout, /^4 sessions ended/)
      const left: SessionId[] = []
      for await (const id of strangers.stores.sessions.ids()) left.push(id)
      assert.deepEqual(left, [])
      await until('told', async () => mine.stores.sessions.revokedBefore() === ahead)
      await until('the server told', async () => {
        const client = await s.signIn()
        return (await s.verify('/plain/1', { client })).status === 200
      })
    } finally {
      await mine.stores.close()
      await strangers.stores.close()
      await s.stop()
      await redis?.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  })
}

test('a state directory that cannot be written is a warning, told once, and all else works', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'bff-state-'))
  const redis = await startRedis()
  writeFileSync(join(dir, 'file'), '')
  const { stores, events } = await open(redis.url, { stateDir: join(dir, 'file', 'state') })
  try {
    const id = await create(stores)
    await stores.sessions.revokeAll(now())
    assert.equal(await stores.sessions.load(id), undefined)
    assert.equal(named(events, 'store_warning'), 1)
    assert.match(String(events.find((e) => e.name === 'store_warning')?.fields?.['detail']), /cannot be written/)
  } finally {
    await stores.close()
    await redis.stop()
    rmSync(dir, { recursive: true, force: true })
  }
})
