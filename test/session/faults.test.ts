import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { secret } from '../../config/secret.ts'
import { freePort, start, startRedis, until, findRedis } from '../../demo/launcher/index.ts'
import { handleOf } from '../../middleware/session/handle.ts'
import type { SessionId } from '../../middleware/types.ts'
import { create, failing, named, now, open, type Opened } from '../support/stores.ts'

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
      assert.equal(named(events, 'store_up'), 1)
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
      assert.equal(named(events, 'store_up'), 1)
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

test('a Redis Cluster keeps all keys of a session in one slot', async () => {
  const nodes = await Promise.all(
    [1, 2, 3].map(() => startRedis({ args: ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf'] })),
  )
  const { createClient } = await import('redis')
  const admins = await Promise.all(nodes.map((n) => createClient({ url: n.url }).connect()))
  try {
    for (const [i, admin] of admins.entries()) {
      const [from, to] =
        [
          [0, 5460],
          [5461, 10_922],
          [10_923, 16_383],
        ][i] ?? []
      await admin.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', String(from), String(to)])
      for (const n of nodes) await admin.sendCommand(['CLUSTER', 'MEET', '127.0.0.1', String(n.port)])
    }
    await until(
      'the cluster',
      async () =>
        (await Promise.all(admins.map((a) => a.sendCommand(['CLUSTER', 'INFO'])))).every((text) =>
          JSON.stringify(text).includes('cluster_state:ok'),
        ),
      { timeoutMs: 30_000 },
    )
    const { stores } = await open(`redis+cluster://${nodes.map((n) => `127.0.0.1:${n.port}`).join(',')}`)
    try {
      await until('a connection', async () => (await stores.sessions.health()).up)
      for (let i = 0; i < 10; i++) {
        const id = await create(stores)
        const live = await stores.sessions.load(id)
        assert.ok(live)
        assert.equal(await stores.sessions.update(id, live.version, { ...live.state, acr: 'x' }), 'done')
        const lease = await stores.leases.acquire(id, 2000, 0)
        assert.ok(lease)
        assert.equal(await stores.vault.rotate(id, { refreshToken: secret('r2'), tokens: [] }, lease.fence), 'done')
        await lease.release()
        assert.deepEqual(await stores.sessions.end([id], 'logout'), [id])
        assert.equal(await stores.sessions.load(id), undefined)
      }
      const kept = await create(stores)
      assert.equal((await stores.sessions.find({ handle: handleOf(kept) })).length, 1)
      const listed: SessionId[] = []
      for await (const s of stores.sessions.list()) listed.push(s.id)
      assert.deepEqual(listed, [kept])
    } finally {
      await stores.close()
    }
  } finally {
    for (const a of admins) a.destroy()
    for (const n of nodes) await n.stop()
  }
})

test('Sentinel: a failover is an outage and then over, with the sessions that the replica had', async () => {
  const master = await startRedis()
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
  const dir = mkdtempSync(join(tmpdir(), 'bff-sentinel-'))
  const port = await freePort()
  const { writeFileSync } = await import('node:fs')
  writeFileSync(
    join(dir, 'sentinel.conf'),
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${dir}`,
      `sentinel monitor main 127.0.0.1 ${master.port} 1`,
      'sentinel down-after-milliseconds main 700',
      'sentinel failover-timeout main 3000',
      '',
    ].join('\n'),
  )
  const sentinel = start(await findRedis(), [join(dir, 'sentinel.conf'), '--sentinel'])
  let opened: Opened | undefined
  try {
    await until(
      'Sentinel',
      async () => /\+monitor master main/.test(sentinel.output()) && /\+slave slave/.test(sentinel.output()),
      { running: sentinel, timeoutMs: 20_000 },
    )
    opened = await open(`redis+sentinel://127.0.0.1:${port}/main`)
    const { stores } = opened
    await until('a connection', async () => (await stores.sessions.health()).up)
    const id = await create(stores)
    const { createClient } = await import('redis')
    const direct = await createClient({ url: replica.url }).connect()
    await until('replicated', async () => (await direct.dbSize()) >= 3)
    direct.destroy()
    master.child.kill('SIGKILL')
    await until('the outage', () => failing(async () => stores.sessions.load(id)))
    await until('the failover', async () => !(await failing(() => create(stores))), { timeoutMs: 30_000 })
    assert.ok(await stores.sessions.load(id))
  } finally {
    await opened?.stores.close()
    await sentinel.stop()
    await replica.stop()
    await master.stop()
    rmSync(dir, { recursive: true, force: true })
  }
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
