import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { findRedis, freePort, start, startRedis, until } from '../../demo/launcher/index.ts'
import type { EpochMs, SessionId } from '../../middleware/types.ts'
import { adminOf, isUp, isWarm, startWire, warm, type Admin } from '../support/redis-world.ts'
import { create, failing, named, now, open, type Opened } from '../support/stores.ts'

interface World extends Opened {
  readonly admin: Admin
  readonly id: SessionId
}

/** A server of its own, a store on it, a session in it. */
async function world(t: TestContext, args: readonly string[] = []): Promise<World> {
  const redis = await startRedis({ args })
  t.after(() => redis.stop())
  const opened = await open(redis.url)
  t.after(() => opened.stores.close())
  const admin = await adminOf(redis.url)
  t.after(() => admin.destroy())
  return { ...opened, admin, id: await create(opened.stores) }
}

const toldOnce = async (w: Opened, name: 'store_down' | 'store_up'): Promise<void> => {
  await until(name, async () => named(w.events, name) > 0)
  assert.equal(named(w.events, name), 1)
}

/** Writes are refused and reads go on, told as one outage; then writes are mended. */
async function onlyWritesFail(w: World, why: RegExp, mend: () => Promise<unknown>): Promise<void> {
  await until('refused writes', () => failing(() => create(w.stores)))
  assert.ok(await w.stores.sessions.load(w.id), 'a session that lives is a yes')
  await warm(w.stores, w.id)
  for (let i = 0; i < 3; i++) assert.ok(await failing(() => w.stores.sessions.touch(w.id, now())))
  const health = await w.stores.sessions.health()
  assert.equal(health.up, false)
  assert.match(health.detail ?? '', why)
  await mend()
  await toldOnce(w, 'store_up')
  assert.equal(named(w.events, 'store_down'), 1)
  assert.ok(await w.stores.sessions.load(w.id), 'nothing was lost')
  assert.ok(await create(w.stores))
}

describe('a Redis whose writes fail', () => {
  test('as a read-only replica', async (t) => {
    const w = await world(t)
    await w.admin.sendCommand(['REPLICAOF', '127.0.0.1', String(await freePort())])
    await onlyWritesFail(w, /READONLY/, () => w.admin.sendCommand(['REPLICAOF', 'NO', 'ONE']))
  })

  test('for want of replicas', async (t) => {
    const w = await world(t)
    await w.admin.configSet('min-replicas-to-write', '1')
    await onlyWritesFail(w, /NOREPLICAS/, () => w.admin.configSet('min-replicas-to-write', '0'))
  })

  test('because it cannot save its data (it then answers pings with an error too)', async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-misconf-'))
    const redis = await startRedis({ dir })
    t.after(() => redis.stop())
    const opened = await open(redis.url)
    t.after(() => opened.stores.close())
    const admin = await adminOf(redis.url)
    t.after(() => admin.destroy())
    const w = { ...opened, admin, id: await create(opened.stores) }
    rmSync(dir, { recursive: true })
    await admin.configSet('save', '3600 1')
    await admin.sendCommand(['BGSAVE'])
    await onlyWritesFail(w, /MISCONF/, () => admin.configSet('stop-writes-on-bgsave-error', 'no'))
  })

  test('because it is full; signing out works all the same', async (t) => {
    const w = await world(t)
    const leaving = await create(w.stores)
    await w.admin.configSet('maxmemory', '1')
    assert.deepEqual(await w.stores.sessions.end([leaving], 'logout'), [leaving])
    assert.equal(await w.stores.sessions.load(leaving), undefined)
    await w.stores.sessions.revokeAll((now() - 3_600_000) as EpochMs)
    assert.match(String(await w.admin.get('bff:revoked_before')), /^\d{13}$/)
    await onlyWritesFail(w, /OOM/, () => w.admin.configSet('maxmemory', '0'))
  })

  test('while its writes are paused', async (t) => {
    const w = await world(t)
    await w.admin.sendCommand(['CLIENT', 'PAUSE', '600000', 'WRITE'])
    await until('refused writes', () => failing(() => create(w.stores)))
    await w.admin.sendCommand(['CLIENT', 'UNPAUSE'])
    await until('recovery', () => isUp(w.stores))
    assert.ok(await w.stores.sessions.load(w.id))
    assert.ok(await create(w.stores))
  })
})

describe('a Redis that', () => {
  test('is slow is an outage, and none when it is quick again', async (t) => {
    const redis = await startRedis()
    t.after(() => redis.stop())
    const wire = await startWire(redis.port)
    t.after(() => wire.close())
    const w = await open(`redis://127.0.0.1:${wire.port}`)
    t.after(() => w.stores.close())
    const id = await create(w.stores)
    wire.delayMs = 2000
    await until('the outage', () => failing(async () => w.stores.sessions.load(id)))
    wire.delayMs = 0
    await until('recovery', () => isUp(w.stores))
    await toldOnce(w, 'store_up')
    assert.equal(named(w.events, 'store_down'), 1)
    assert.ok(await w.stores.sessions.load(id))
  })

  test('blocks for a while answers nothing stale, though requests keep writing to its connection', async (t) => {
    const redis = await startRedis()
    t.after(() => redis.stop())
    const wire = await startWire(redis.port)
    t.after(() => wire.close())
    const w = await open(`redis://127.0.0.1:${wire.port}`)
    t.after(() => w.stores.close())
    const other = await open(redis.url)
    t.after(() => other.stores.close())
    const [id, cold] = [await create(w.stores), await create(w.stores)]
    await warm(w.stores, id)
    wire.stall()
    await other.stores.sessions.end([id], 'logout')
    // Writing resets a socket's own timer: the stall must be found all the same.
    const asking = setInterval(() => void failing(async () => w.stores.sessions.load(cold)), 20)
    try {
      await until('the stall noticed', async () => !isWarm(w.stores, id))
      assert.ok(await failing(async () => w.stores.sessions.load(id)), 'an outage: neither yes nor "signed out"')
    } finally {
      clearInterval(asking)
    }
    wire.flow()
    await until('recovery', () => isUp(w.stores))
    assert.equal(await w.stores.sessions.load(id), undefined)
    assert.ok(await w.stores.sessions.load(cold))
    await toldOnce(w, 'store_up')
    assert.equal(named(w.events, 'store_down'), 1)
  })

  test('is stopped empties the cache at once', async (t) => {
    const w = await world(t)
    await warm(w.stores, w.id)
    await w.admin.sendCommand(['SHUTDOWN', 'NOSAVE']).catch(() => undefined)
    await until('the outage', async () => named(w.events, 'store_down') === 1)
    assert.ok(!isWarm(w.stores, w.id))
    assert.ok(await failing(async () => w.stores.sessions.load(w.id)))
  })

  test('is restarted with its data has the sessions, and says LOADING meanwhile as an outage', async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-loading-'))
    t.after(() => rmSync(dir, { recursive: true, force: true }))
    const port = await freePort()
    const redis = await startRedis({ dir, port })
    const w = await open(redis.url)
    t.after(() => w.stores.close())
    const id = await create(w.stores)
    const admin = await adminOf(redis.url)
    await admin.mSet(Array.from({ length: 3000 }, (_, i) => [`other:${i}`, 'x'.repeat(200)] as [string, string]))
    await admin.sendCommand(['SHUTDOWN', 'SAVE']).catch(() => undefined)
    admin.destroy()
    await redis.exited
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '']
    const slowly = ['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024']
    const again = start(await findRedis(), [...args, ...slowly])
    t.after(() => again.stop())
    await until('LOADING said', async () => /LOADING/.test((await w.stores.sessions.health()).detail ?? ''))
    assert.ok(await failing(async () => w.stores.sessions.load(id)), 'no answer is never "signed out"')
    await toldOnce(w, 'store_up')
    assert.equal(named(w.events, 'store_down'), 1)
    assert.ok(await w.stores.sessions.load(id))
  })

  test('is emptied while it runs ends what was warm, and has open streams judged anew', async (t) => {
    const w = await world(t)
    await warm(w.stores, w.id)
    const gap = new Promise<void>((resolve) => w.stores.sessions.onGap(resolve))
    await w.admin.flushAll()
    await gap
    assert.equal(await w.stores.sessions.load(w.id), undefined)
    assert.equal(named(w.events, 'store_down'), 0)
  })
})

describe('a Redis whose users', () => {
  const acl = (...rules: string[]): string[] => ['--user', 'bff', 'on', '>old', '~bff:*', '&bff:*', ...rules]
  async function withUser(t: TestContext, ...rules: string[]): Promise<World> {
    const redis = await startRedis({ args: acl(...rules) })
    t.after(() => redis.stop())
    const opened = await open(redis.url.replace('redis://', 'redis://bff:old@'))
    t.after(() => opened.stores.close())
    const admin = await adminOf(redis.url)
    t.after(() => admin.destroy())
    await until('a connection', () => isUp(opened.stores))
    return { ...opened, admin, id: await create(opened.stores) }
  }

  test('have just the commands of the documents serves from the cache, hears of ends, and lists', async (t) => {
    const rules = documentedRules()
    const w = await withUser(t, ...rules)
    await warm(w.stores, w.id)
    assert.deepEqual((await w.stores.sessions.health()).warnings, [])
    const lease = await w.stores.leases.acquire(w.id, 2000, 0)
    assert.ok(lease)
    await lease.release()
    assert.ok(await w.stores.sessions.once('x', 1000))
    assert.equal((await w.stores.sessions.count('y', 1000)).count, 1)
    const listed: SessionId[] = []
    for await (const s of w.stores.sessions.list()) listed.push(s.id)
    assert.deepEqual(listed, [w.id])
    assert.deepEqual(await w.stores.sessions.end([w.id], 'logout'), [w.id])
    const denied = JSON.stringify(await w.admin.sendCommand(['ACL', 'LOG']))
    assert.doesNotMatch(denied, /"bff"/, denied)
  })

  test('may not hear of ends is warned of, and open streams are judged anew now and then', async (t) => {
    const w = await withUser(t, '+@all', 'resetchannels')
    await until('the warning', async () => (await w.stores.sessions.health()).warnings.some((x) => /not heard/.test(x)))
    await new Promise<void>((resolve) => w.stores.sessions.onGap(resolve))
  })

  test('may not ask CONFIG still tells its policy', async (t) => {
    const w = await withUser(t, '+@all', '-config')
    await w.admin.configSet('maxmemory-policy', 'volatile-lru')
    await w.admin.sendCommand(['CLIENT', 'KILL', 'USER', 'bff'])
    await until('the warning', async () =>
      (await w.stores.sessions.health()).warnings.some((x) => /volatile-lru/.test(x)),
    )
  })

  test('lose a right, or their password, is an outage until it is given back', async (t) => {
    const w = await withUser(t, '+@all')
    await warm(w.stores, w.id)
    await w.admin.sendCommand(['ACL', 'SETUSER', 'bff', '-hgetall'])
    await until(
      'the outage',
      async () => named(w.events, 'store_down') === 1 || (await failing(() => w.stores.vault.idToken(w.id))),
    )
    assert.match((await w.stores.sessions.health()).detail ?? '', /NOPERM/)
    await w.admin.sendCommand(['ACL', 'SETUSER', 'bff', '+hgetall'])
    await toldOnce(w, 'store_up')
    w.events.splice(0)
    await w.admin.sendCommand(['ACL', 'SETUSER', 'bff', 'resetpass', '>new'])
    await w.admin.sendCommand(['CLIENT', 'KILL', 'USER', 'bff'])
    await until('WRONGPASS said', async () => /WRONGPASS/.test((await w.stores.sessions.health()).detail ?? ''))
    assert.ok(await failing(async () => w.stores.sessions.load(w.id)))
    await w.admin.sendCommand(['ACL', 'SETUSER', 'bff', '>old'])
    await toldOnce(w, 'store_up')
    assert.equal(named(w.events, 'store_down'), 1)
    assert.ok(await w.stores.sessions.load(w.id))
  })
})

/** The rights as docs/stores.md gives them, behind those of keys and channels. */
function documentedRules(): string[] {
  const text = readFileSync(new URL('../../docs/stores.md', import.meta.url), 'utf8')
  const rules = /^ACL SETUSER bff .* (-@all .*)$/m.exec(text)?.[1]
  assert.ok(rules)
  return rules.split(' ')
}
