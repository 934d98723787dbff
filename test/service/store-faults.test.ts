import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { startRedis, until, type Redis } from '../../demo/launcher/index.ts'
import { adminOf, startWire } from '../support/redis-world.ts'
import { startService, type Service } from '../support/service.ts'

async function world(
  t: TestContext,
): Promise<{ readonly redis: Redis; readonly wire: Awaited<ReturnType<typeof startWire>>; readonly s: Service }> {
  const redis = await startRedis()
  t.after(() => redis.stop())
  const wire = await startWire(redis.port)
  t.after(() => wire.close())
  const s = await startService({ store: `redis://127.0.0.1:${wire.port}` })
  t.after(() => s.stop())
  return { redis, wire, s }
}
const says = (s: Service, msg: string): number => s.logs.filter((l) => l['msg'] === msg).length

for (const [how, begin, end] of [
  ['stalls without a word', 'stall', 'flow'],
  ['is cut off', 'cut', 'accept'],
] as const) {
  test(`a store that ${how}: 503 with Retry-After for a session that was warm, public routes stay 200, and all is well after, with one line each`, async (t) => {
    const { wire, s } = await world(t)
    const alice = await s.signIn()
    const ask = (): Promise<Response> => s.verify('/orders/1', { client: alice })
    assert.equal((await ask()).status, 200)
    const statuses = new Set<number>()
    wire[begin](true)
    let last: Response | undefined
    await until('the outage', async () => {
      last = await ask()
      statuses.add(last.status)
      return last.status === 503
    })
    assert.deepEqual(
      [...statuses].filter((x) => x !== 200 && x !== 503),
      [],
    )
    assert.equal(last?.headers.get('x-bff-error'), 'STORE_UNAVAILABLE')
    assert.match(last.headers.get('retry-after') ?? '', /^\d+$/)
    assert.deepEqual(last.headers.getSetCookie(), [], 'the cookie stays')
    for (let i = 0; i < 10; i++) assert.equal((await ask()).status, 503, 'never a yes in between')
    assert.equal((await s.verify('/open/x')).status, 200)
    assert.equal((await fetch(`${s.adminUrl}/ready`)).status, 503)
    assert.equal((await fetch(`${s.adminUrl}/ready?scope=local`)).status, 200, 'a probe takes no replica out for it')
    wire[end]()
    await until('recovery', async () => (await ask()).status === 200)
    await s.waitForLog((l) => l['msg'] === 'store_up')
    assert.deepEqual([says(s, 'store_down'), says(s, 'store_up')], [1, 1])
    assert.equal((await fetch(`${s.adminUrl}/ready`)).status, 200)
  })
}

test('a store that takes no writes: who is signed in goes on, signing in is 503, and /ready says why', async (t) => {
  const { redis, s } = await world(t)
  const admin = await adminOf(redis.url)
  t.after(() => admin.destroy())
  const alice = await s.signIn()
  assert.equal((await s.verify('/orders/1', { client: alice })).status, 200)
  await admin.configSet('min-replicas-to-write', '1')
  const client = s.client()
  const begun = await client.page('/auth/login')
  const back = await s.provider.signIn(new URL(begun.headers.get('location') ?? ''))
  const done = await client.page(back.pathname + back.search)
  assert.deepEqual([done.status, done.headers.get('x-bff-error')], [503, 'STORE_UNAVAILABLE'])
  assert.match(done.headers.get('retry-after') ?? '', /^\d+$/)
  assert.equal((await s.verify('/orders/1', { client: alice })).status, 200)
  assert.match(JSON.stringify(await (await fetch(`${s.adminUrl}/ready`)).json()), /NOREPLICAS/)
  await admin.configSet('min-replicas-to-write', '0')
  await s.waitForLog((l) => l['msg'] === 'store_up')
  await s.signIn()
})

test('a policy that drops sessions is warned of in the log and in /ready', async (t) => {
  const redis = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lfu'] })
  t.after(() => redis.stop())
  const s = await startService({ store: redis.url })
  t.after(() => s.stop())
  await s.waitForLog((l) => l['msg'] === 'store_warning' && /allkeys-lfu/.test(String(l['detail'])))
  const body = (await (await fetch(`${s.adminUrl}/ready`)).json()) as { store: { up: boolean; warnings: string[] } }
  assert.equal(body.store.up, true)
  assert.match(body.store.warnings.join(), /allkeys-lfu.*noeviction/)
})
