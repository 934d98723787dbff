import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { secret } from '../../config/secret.ts'
import { freePort, startRedis, until } from '../../demo/launcher/index.ts'
import { handleOf } from '../../middleware/session/handle.ts'
import type { Stores } from '../../middleware/session/open-stores.ts'
import { slotOf } from '../../middleware/session/stores/redis-slot.ts'
import type { SessionId } from '../../middleware/types.ts'
import {
  adminOf,
  isUp,
  isWarm,
  startCluster,
  startSentinelWorld,
  startWire,
  tlsFile,
  warm,
  type ClusterWorld,
} from '../support/redis-world.ts'
import { create, failing, named, open, type Opened } from '../support/stores.ts'

async function twoReplicas(
  t: TestContext,
  url: string,
  more: Parameters<typeof open>[1] = {},
): Promise<readonly [Opened, Opened]> {
  const [a, b] = [await open(url, more), await open(url, more)]
  t.after(() => a.stores.close())
  t.after(() => b.stores.close())
  for (const { stores } of [a, b]) await until('a connection', () => isUp(stores))
  return [a, b]
}

/** Warm here, ended there: refused here, without being told to look. */
async function endedElsewhere(here: Stores, there: Stores): Promise<void> {
  const id = await create(there)
  await warm(here, id)
  await there.sessions.end([id], 'logout')
  await until('the end known here', async () => (await here.sessions.load(id)) === undefined)
  assert.equal(await here.sessions.endedReason(id), 'logout')
}

async function everyKind(s: Stores): Promise<void> {
  const id = await create(s)
  const live = await s.sessions.load(id)
  assert.ok(live)
  assert.equal(await s.sessions.update(id, live.version, { ...live.state, acr: 'x' }), 'done')
  const lease = await s.leases.acquire(id, 5000, 0)
  assert.ok(lease)
  assert.equal(await s.vault.rotate(id, { refreshToken: secret('r2'), tokens: [] }, lease.fence), 'done')
  await lease.release()
  assert.equal((await s.sessions.find({ handle: handleOf(id) })).length, 1)
  assert.deepEqual(await s.sessions.end([id], 'logout'), [id])
  assert.equal(await s.sessions.load(id), undefined)
}

describe('Sentinel', () => {
  test('warm checks make no round trip, and a failover is one outage, with the sessions that the replica had', async (t) => {
    const w = await startSentinelWorld()
    t.after(() => w.stop())
    const [a, b] = await twoReplicas(t, `redis+sentinel://127.0.0.1:${w.port}/main`)
    await everyKind(a.stores)
    await endedElsewhere(a.stores, b.stores)
    const id = await create(a.stores)
    await warm(a.stores, id)
    const direct = await adminOf(w.replica.url)
    t.after(() => direct.destroy())
    await until('replicated', async () => (await direct.exists(`bff:sess:${id}`)) === 1)
    w.master.child.kill('SIGKILL')
    await until('the outage', () => failing(async () => a.stores.sessions.load(id)))
    assert.ok(!isWarm(a.stores, id))
    await until('the failover', async () => !(await failing(() => create(a.stores))), { timeoutMs: 60_000 })
    assert.ok(await a.stores.sessions.load(id))
    await until('the other replica', async () => isUp(b.stores), { timeoutMs: 60_000 })
    await warm(a.stores, id)
    await endedElsewhere(a.stores, b.stores)
    await until('the end of the outage told', async () => named(a.events, 'store_up') === 1)
    assert.equal(named(a.events, 'store_down'), 1)
  })

  test('an end that the promoted replica had not heard of is still an end, on every replica of ours', async (t) => {
    const w = await startSentinelWorld()
    t.after(() => w.stop())
    const [a, b] = await twoReplicas(t, `redis+sentinel://127.0.0.1:${w.port}/main`)
    const id = await create(a.stores)
    const direct = await adminOf(w.replica.url)
    t.after(() => direct.destroy())
    await until('replicated', async () => (await direct.exists(`bff:sess:${id}`)) === 1)
    await warm(b.stores, id)
    // Cut off from its master, it hears of nothing more.
    const master = await adminOf(w.master.url)
    t.after(() => master.destroy())
    await master.sendCommand(['CLIENT', 'KILL', 'TYPE', 'REPLICA'])
    w.replica.child.kill('SIGSTOP')
    await a.stores.sessions.end([id], 'logout')
    await until('the end heard', async () => (await b.stores.sessions.load(id)) === undefined)
    w.master.child.kill('SIGKILL')
    w.replica.child.kill('SIGCONT')
    for (const { stores } of [a, b]) {
      await until('the failover', async () => !(await failing(() => create(stores))), { timeoutMs: 60_000 })
      assert.equal(await stores.sessions.load(id), undefined)
    }
    // Whoever starts only now has heard of nothing.
    await until('ended again', async () => (await direct.exists(`bff:sess:${id}`)) === 0)
  })

  test('a planned failover is followed, without a restart of ours', async (t) => {
    const w = await startSentinelWorld()
    t.after(() => w.stop())
    const [a, b] = await twoReplicas(t, `redis+sentinel://127.0.0.1:${w.port}/main`)
    const id = await create(a.stores)
    const direct = await adminOf(w.replica.url)
    t.after(() => direct.destroy())
    await until('replicated', async () => (await direct.exists(`bff:sess:${id}`)) === 1)
    const sentinel = await adminOf(`redis://127.0.0.1:${w.port}`)
    t.after(() => sentinel.destroy())
    await until(
      'a failover begun',
      async () => (await sentinel.sendCommand<string>(['SENTINEL', 'FAILOVER', 'main'])) === 'OK',
      { timeoutMs: 60_000 },
    )
    await until('the new master', async () => (await direct.info('replication')).includes('role:master'), {
      timeoutMs: 60_000,
    })
    const ask = async (s: Stores): Promise<SessionId> => create(s)
    for (const { stores } of [a, b]) {
      await until(
        'a session on the new master',
        async () => (await direct.exists(`bff:sess:${await ask(stores)}`)) === 1,
        { timeoutMs: 60_000 },
      )
    }
    assert.ok(await a.stores.sessions.load(id))
    await endedElsewhere(a.stores, b.stores)
  })

  test('that is gone itself is no outage: the master goes on, cached, and tells of ends', async (t) => {
    const w = await startSentinelWorld()
    t.after(() => w.stop())
    const [a, b] = await twoReplicas(t, `redis+sentinel://127.0.0.1:${w.port}/main`)
    await warm(a.stores, await create(a.stores))
    w.sentinel.child.kill('SIGKILL')
    await w.sentinel.exited
    for (let i = 0; i < 3; i++) await endedElsewhere(a.stores, b.stores)
    await everyKind(a.stores)
    assert.deepEqual([named(a.events, 'store_down'), named(b.events, 'store_down')], [0, 0])
  })

  test('speaks TLS to sentinels and master, and the password of the sentinels is their own', async (t) => {
    const via = await freePort()
    const w = await startSentinelWorld({ via, sentinelLines: ['requirepass the%sentinel'] })
    t.after(() => w.stop())
    const wire = await startWire(w.port)
    t.after(() => wire.close())
    const url = `rediss+sentinel://localhost:${wire.port}/main?sentinel_password=the%25sentinel`
    const tls = { ca: tlsFile('server.pem'), cert: tlsFile('client.pem'), key: tlsFile('client.key') }
    const { stores } = await open(url, { storeTls: tls })
    t.after(() => stores.close())
    await until('a connection', () => isUp(stores))
    await everyKind(stores)
  })
})

describe('a Redis over TLS', () => {
  const tls = { ca: tlsFile('server.pem'), cert: tlsFile('client.pem'), key: tlsFile('client.key') }
  test('by a private CA and with our certificate, in the database of its number; without them there is no connection', async (t) => {
    const redis = await startRedis()
    t.after(() => redis.stop())
    const wire = await startWire(redis.port)
    t.after(() => wire.close())
    const url = `rediss://localhost:${wire.port}/3`
    const good = await open(url, { storeTls: tls })
    t.after(() => good.stores.close())
    await until('a connection', () => isUp(good.stores))
    await everyKind(good.stores)
    const id = await create(good.stores)
    await warm(good.stores, id)
    const admin = await adminOf(`${redis.url}/3`)
    t.after(() => admin.destroy())
    assert.equal(await admin.exists(`bff:sess:${id}`), 1)
    for (const storeTls of [undefined, { ca: tls.ca }]) {
      const bad = await open(url, storeTls === undefined ? {} : { storeTls })
      try {
        await until('the refusal', async () =>
          /certificate|closed|ECONNRESET|alert/i.test((await bad.stores.sessions.health()).detail ?? ''),
        )
        assert.ok(await failing(async () => bad.stores.sessions.load(id)))
      } finally {
        await bad.stores.close()
      }
    }
  })

  test('a cluster of it too', async (t) => {
    const announced = await freePort()
    const args = ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf']
    const redis = await startRedis({ args: [...args, '--cluster-announce-port', String(announced)] })
    t.after(() => redis.stop())
    const wire = await startWire(redis.port, announced)
    t.after(() => wire.close())
    const admin = await adminOf(redis.url)
    t.after(() => admin.destroy())
    await admin.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383'])
    await until('the cluster', async () => (await admin.sendCommand<string>(['CLUSTER', 'INFO'])).includes('state:ok'))
    const { stores } = await open(`rediss+cluster://127.0.0.1:${wire.port}`, { storeTls: tls })
    t.after(() => stores.close())
    await until('a connection', () => isUp(stores))
    await everyKind(stores)
    await warm(stores, await create(stores))
  })
})

/** Where no outage is the claim, a busy machine must not make one. */
const PATIENT = { stallTimeoutMs: 30_000 }

describe('a Redis Cluster', () => {
  async function world(
    t: TestContext,
    more: Parameters<typeof open>[1] = {},
  ): Promise<readonly [ClusterWorld, Opened, Opened]> {
    const w = await startCluster()
    t.after(() => w.stop())
    const [a, b] = await twoReplicas(t, w.url, more)
    return [w, a, b]
  }
  /** A session whose keys are in a slot of the first master. */
  const inFirst = async (s: Stores): Promise<SessionId> => {
    for (;;) {
      const id = await create(s)
      if (slotOf(`bff:sess:${id}`) <= 5460) return id
    }
  }

  test('keeps all keys of a session in one slot, warm checks make no round trip, and ends are known everywhere', async (t) => {
    const [w, a, b] = await world(t, PATIENT)
    for (let i = 0; i < 6; i++) await everyKind(a.stores)
    for (let i = 0; i < 6; i++) await endedElsewhere(a.stores, b.stores)
    const kept = await create(a.stores)
    const listed: SessionId[] = []
    for await (const s of b.stores.sessions.list()) listed.push(s.id)
    assert.deepEqual(listed, [kept])
    const [first] = w.admins
    assert.equal(
      await first?.sendCommand(['CLUSTER', 'KEYSLOT', `bff:state:{bff:sess:${kept}}`]),
      slotOf(`bff:sess:${kept}`),
    )
    assert.equal(named(a.events, 'store_down'), 0)
  })

  test('whose slot moves while sessions in it are used loses none of them, and forgets no end', async (t) => {
    const [w, a, b] = await world(t, PATIENT)
    const id = await inFirst(a.stores)
    const slot = slotOf(`bff:sess:${id}`)
    await warm(a.stores, id)
    await warm(b.stores, id)
    const [from, to] = w.admins
    const target = w.nodes[1]
    if (from === undefined || to === undefined || target === undefined) throw new Error('no nodes')
    const [fromId, toId] = [
      await from.sendCommand<string>(['CLUSTER', 'MYID']),
      await to.sendCommand<string>(['CLUSTER', 'MYID']),
    ]
    await to.sendCommand(['CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', fromId])
    await from.sendCommand(['CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', toId])
    const keys = (await from.sendCommand(['CLUSTER', 'GETKEYSINSLOT', String(slot), '100'])) as unknown as string[]
    assert.ok(keys.length >= 2)
    // In between its keys are on two nodes: ASK and TRYAGAIN.
    const move = (some: readonly string[]): Promise<unknown> =>
      from.sendCommand(['MIGRATE', '127.0.0.1', String(target.port), '', '0', '5000', 'KEYS', ...some])
    await move(keys)
    assert.ok(await a.stores.sessions.load(id), 'asked of the other node')
    assert.equal(await a.stores.sessions.touch(id, (Date.now() + 60_000) as never), 'done')
    for (const node of [to, from, ...w.admins.slice(2, 3)])
      await node.sendCommand(['CLUSTER', 'SETSLOT', String(slot), 'NODE', toId])
    assert.ok(await a.stores.sessions.load(id))
    await warm(b.stores, id)
    await a.stores.sessions.end([id], 'logout')
    await until('the end known', async () => (await b.stores.sessions.load(id)) === undefined)
    await warm(a.stores, await create(a.stores))
    assert.deepEqual(a.events, [], 'moving slots is no outage')
  })

  test('whose replica takes over, planned or after a death, goes on with its sessions', async (t) => {
    const [w, a, b] = await world(t)
    const id = await inFirst(a.stores)
    await warm(a.stores, id)
    const replica = w.admins[3]
    if (replica === undefined) throw new Error('no replica')
    const isMaster = async (): Promise<boolean> => (await replica.info('replication')).includes('role:master')
    await until(
      'the takeover',
      async () => {
        if (await isMaster()) return true
        await replica.sendCommand(['CLUSTER', 'FAILOVER']).catch(() => undefined)
        return false
      },
      { timeoutMs: 60_000 },
    )
    await until('the session', async () => (await a.stores.sessions.load(id)) !== undefined)
    await warm(a.stores, id)
    await endedElsewhere(a.stores, b.stores)

    const first = w.nodes[0]
    const old = w.admins[0]
    await until(
      'it follows',
      async () => (await old?.info('replication'))?.includes('master_link_status:up') === true,
      {
        timeoutMs: 60_000,
      },
    )
    w.nodes[3]?.child.kill('SIGKILL')
    await until('the outage', () => failing(async () => a.stores.sessions.load(id)))
    await until('the other takes over', async () => (await a.stores.sessions.load(id)) !== undefined, {
      timeoutMs: 60_000,
    })
    assert.ok(first)
    await until(
      'cached again',
      async () => {
        await a.stores.sessions.load(id)
        return isWarm(a.stores, id)
      },
      { timeoutMs: 60_000 },
    )
    await until('the other replica', () => isUp(b.stores), { timeoutMs: 60_000 })
    await b.stores.sessions.end([id], 'logout')
    await until('the end known', async () => (await a.stores.sessions.load(id)) === undefined)
    await until('the end of the outage told', async () => named(a.events, 'store_up') === named(a.events, 'store_down'))
  })
})
