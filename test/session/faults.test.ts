import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { startRedis, until } from '../../demo/launcher/index.ts'
import { create, failing, named, now, open } from '../support/stores.ts'

describe('a Redis that', () => {
  test('dies is an outage at once, told once, and over without a restart of ours when it is back', async () => {
    const redis = await startRedis()
    const { stores, events } = await open(redis.url)
    let again: Awaited<ReturnType<typeof startRedis>> | undefined
    try {
      const id = await create(stores)
      assert.ok(await stores.sessions.load(id))
      redis.child.kill('SIGKILL')
      await redis.exited
      await until('the outage', () => failing(async () => stores.sessions.load(id)))
      for (let i = 0; i < 20; i++) assert.ok(await failing(async () => stores.sessions.load(id)))
      assert.equal(named(events, 'store_down'), 1)
      again = await startRedis({ port: redis.port })
      await until('recovery', async () => !(await failing(async () => stores.sessions.load(id))))
      assert.equal(await stores.sessions.load(id), undefined, 'it came back without its data')
      assert.ok(await create(stores))
      await until('the end of the outage told', async () => named(events, 'store_up') === 1)
    } finally {
      await stores.close()
      await again?.stop()
      await redis.stop()
    }
  })

  test('stalls without closing its connections is noticed by itself, and nothing stale is answered after', async () => {
    const redis = await startRedis()
    const { stores } = await open(redis.url)
    try {
      const id = await create(stores)
      await stores.sessions.load(id)
      assert.ok(!(stores.sessions.load(id) instanceof Promise), 'warm')
      redis.child.kill('SIGSTOP')
      await until('the stall noticed', () => failing(async () => stores.sessions.load(id)), { timeoutMs: 10_000 })
      redis.child.kill('SIGCONT')
      await until('recovery', async () => !(await failing(async () => stores.sessions.load(id))))
      assert.ok(await stores.sessions.load(id), 'with its data')
    } finally {
      redis.child.kill('SIGCONT')
      await stores.close()
      await redis.stop()
    }
  })

  test('is full refuses new sessions and keeps the old ones, told as one outage', async () => {
    const redis = await startRedis()
    const { stores, events } = await open(redis.url)
    const { createClient } = await import('redis')
    const admin = createClient({ url: redis.url })
    try {
      const id = await create(stores)
      await admin.connect()
      await admin.configSet('maxmemory', '1')
      assert.ok(await failing(() => create(stores)))
      assert.ok(await failing(() => stores.sessions.touch(id, now())))
      assert.ok(await stores.sessions.load(id), 'reading goes on')
      assert.equal(named(events, 'store_down'), 1)
      await admin.configSet('maxmemory', '0')
      assert.ok(await create(stores))
      await until('the end of the outage told', async () => named(events, 'store_up') === 1)
    } finally {
      admin.destroy()
      await stores.close()
      await redis.stop()
    }
  })

  test('drops keys under pressure by its policy is warned of', async () => {
    const redis = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] })
    const { stores, events } = await open(redis.url)
    try {
      await until('the warning', async () => named(events, 'store_warning') === 1)
      assert.match((await stores.sessions.health()).warnings.join(), /allkeys-lru.*noeviction/)
    } finally {
      await stores.close()
      await redis.stop()
    }
  })

  test('knows users and not the default one is used with its user, and without CLIENT it serves uncached', async () => {
    const redis = await startRedis({
      args: [
        '--user',
        'default',
        'off',
        '--user',
        'bff',
        'on',
        '>pass%word',
        '~bff:*',
        '&bff:*',
        '+@all',
        '-client',
        '--user',
        'admin',
        'on',
        '>admin',
        '~*',
        '&*',
        '+@all',
      ],
    })
    const { stores } = await open(redis.url.replace('redis://', 'redis://bff:pass%25word@'))
    try {
      await until('a connection', async () => (await stores.sessions.health()).up)
      const id = await create(stores)
      assert.ok(await stores.sessions.load(id))
      const asked = stores.sessions.load(id)
      assert.ok(asked instanceof Promise, 'each time a round trip')
      assert.ok(await asked)
    } finally {
      await stores.close()
      await redis.stop()
    }
  })
})

test('a SQLite file that another process holds locked is an outage, and over when it lets go', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'bff-locked-'))
  const path = join(dir, 'data', 'sessions.db')
  const { stores, events } = await open(`sqlite:${path}`)
  const other = new DatabaseSync(path)
  try {
    const id = await create(stores)
    other.exec('BEGIN EXCLUSIVE')
    assert.ok(await failing(() => create(stores)))
    assert.ok(await stores.sessions.load(id), 'readers go on')
    other.exec('ROLLBACK')
    assert.ok(await create(stores))
    assert.equal(named(events, 'store_down'), 1)
  } finally {
    other.close()
    await stores.close()
    rmSync(dir, { recursive: true, force: true })
  }
})
