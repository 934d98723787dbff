import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import session from 'express-session'
import { secret } from '../../config/secret.ts'
import type { SessionSettings } from '../../config/types.ts'
import { startRedis, type Redis } from '../../demo/launcher/index.ts'
import { systemClock } from '../../middleware/clock.ts'
import { handleOf, newSessionId } from '../../middleware/session/handle.ts'
import { openStores, type Stores } from '../../middleware/session/open-stores.ts'
import {
  LOGIN_TOKEN,
  StoreUnavailable,
  type EpochMs,
  type NewSession,
  type ServiceToken,
  type SessionId,
  type TokenId,
} from '../../middleware/types.ts'
import { settingsFor } from '../support/stores.ts'

const random = (n: number): Uint8Array => randomBytes(n)
const now = (): EpochMs => Date.now() as EpochMs

function settings(store: string, secrets = ['0123456789abcdef0123456789abcdef']): SessionSettings {
  return settingsFor(store, { secrets: secrets.map(secret), stateDir: join(tmpdir(), `bff-state-${process.pid}`) })
}

function token(service: string, value: string): ServiceToken {
  return {
    id: value as TokenId,
    service,
    value: secret(value),
    type: 'Bearer',
    audiences: [`https://${service}`],
    scopes: ['read'],
    receivedAt: now(),
    expiresAt: (now() + 60_000) as EpochMs,
  }
}

function fresh(id: SessionId, sub = 'alice-the-subject'): NewSession {
  return {
    record: {
      v: 1,
      handle: handleOf(id),
      provider: 'default',
      issuer: 'https://idp.example.com',
      sub,
      sid: 'provider-sid',
      origin: 'http://localhost:8000',
      createdAt: now(),
      expiresAt: (now() + 3_600_000) as EpochMs,
      ip: '203.0.113.9',
      userAgent: 'test',
    },
    state: { identity: { email: 'alice@secret.example' }, authTime: now(), scopes: ['openid'], failed: [] },
    refreshToken: secret('refresh-token-0'),
    idToken: secret('id-token-0'),
    tokens: [token(LOGIN_TOKEN, 'login-token-0')],
  }
}

const save = async (s: Stores, id: SessionId, n: NewSession): Promise<void> => {
  const cookie = new session.Cookie()
  const store = await s.expressStore()
  return new Promise((resolve, reject) => {
    store.set(id, { cookie, bff: n.record }, (e: unknown) => {
      if (e instanceof Error) reject(e)
      else resolve()
    })
  })
}

async function open(s: Stores, sub?: string): Promise<SessionId> {
  const id = newSessionId(random)
  const n = fresh(id, sub)
  await s.sessions.open(id, n)
  await save(s, id, n)
  return id
}

interface Kind {
  readonly name: string
  /** A second opening of the same store is another replica. */
  open(secrets?: string[]): Promise<Stores>
  close(): Promise<void>
}

let redis: Redis
const dir = mkdtempSync(join(tmpdir(), 'bff-store-'))
const kinds: readonly (() => Kind)[] = [
  () => ({
    name: 'SQLite',
    open: (secrets) =>
      openStores({
        settings: settings(`sqlite:${join(dir, 'deep', 'sessions.db')}`, secrets),
        clock: systemClock,
        emit: () => undefined,
        random,
      }),
    close: () => Promise.resolve(),
  }),
  () => ({
    name: 'Redis',
    open: (secrets) =>
      openStores({ settings: settings(redis.url, secrets), clock: systemClock, emit: () => undefined, random }),
    close: () => Promise.resolve(),
  }),
]
before(async () => {
  redis = await startRedis()
})
after(async () => {
  await redis.stop()
  rmSync(dir, { recursive: true, force: true })
})

for (const make of kinds) {
  const kind = make()
  describe(`${kind.name} as a session store`, () => {
    let a: Stores
    let b: Stores
    before(async () => {
      a = await kind.open()
      b = await kind.open()
    })
    after(async () => {
      await a.close()
      await b.close()
    })

    test('a session is there, with what was written, only once record and state both are', async () => {
      const id = newSessionId(random)
      const n = fresh(id)
      await a.sessions.open(id, n)
      assert.equal(await a.sessions.load(id), undefined)
      await save(a, id, n)
      const live = await b.sessions.load(id)
      assert.deepEqual(live?.record, n.record)
      assert.deepEqual(live.state, n.state)
      assert.equal(live.tokens.get(LOGIN_TOKEN)?.value.reveal(), 'login-token-0')
      assert.equal(live.hasRefreshToken, true)
      assert.equal((await b.vault.refreshToken(id))?.token.reveal(), 'refresh-token-0')
      assert.equal((await b.vault.idToken(id))?.reveal(), 'id-token-0')
    })

    test('a write of the state lands only over the version that was read', async () => {
      const id = await open(a)
      const read = await a.sessions.load(id)
      assert.ok(read)
      assert.equal(await b.sessions.update(id, read.version, { ...read.state, acr: 'two' }), 'done')
      assert.equal(await a.sessions.update(id, read.version, { ...read.state, acr: 'three' }), 'changed')
      assert.equal(await a.sessions.update(newSessionId(random), 1, read.state), 'gone')
    })

    test('nothing revives a session that has ended: not a late save, update, touch, token or rotation', async () => {
      const id = await open(a)
      const read = await a.sessions.load(id)
      assert.ok(read)
      const lease = await a.leases.acquire(id, 5000, 0)
      assert.ok(lease)
      assert.deepEqual(await b.sessions.end([id], 'logout'), [id])
      await assert.rejects(save(a, id, fresh(id)), StoreUnavailable)
      assert.equal(await a.sessions.update(id, read.version, read.state), 'gone')
      assert.equal(await a.sessions.touch(id, now()), 'gone')
      assert.equal(await a.vault.keep(id, token('orders', 'late')), 'gone')
      assert.equal(await a.vault.rotate(id, { refreshToken: secret('late'), tokens: [] }, lease.fence), 'gone')
      assert.equal(await a.leases.acquire(id, 1000, 0), undefined)
      assert.equal(await a.sessions.load(id), undefined)
      assert.equal(await a.vault.refreshToken(id), undefined)
      assert.equal(await b.sessions.endedReason(id), 'logout')
      assert.deepEqual(await a.sessions.end([id], 'logout'), [])
      await lease.release()
    })

    test('the idle time moves without touching the version', async () => {
      const id = await open(a)
      const read = await a.sessions.load(id)
      const next = (now() + 99_000) as EpochMs
      assert.equal(await a.sessions.touch(id, next), 'done')
      const again = await b.sessions.load(id)
      assert.equal(again?.idleUntil, next)
      assert.equal(again.version, read?.version)
    })

    test('tokens are kept by service, seen by the other replica, and can be forgotten', async () => {
      const id = await open(a)
      assert.equal(await a.vault.keep(id, token('orders', 'orders-1')), 'done')
      assert.equal((await b.sessions.load(id))?.tokens.get('orders')?.value.reveal(), 'orders-1')
      assert.equal(await b.vault.drop(id, 'orders'), 'done')
      assert.equal((await b.sessions.load(id))?.tokens.has('orders'), false)
    })

    test('a lease has one holder, its fence rises, and only its owner gives it back', async () => {
      const id = await open(a)
      const first = await a.leases.acquire(id, 5000, 0)
      assert.ok(first)
      assert.equal(await b.leases.acquire(id, 5000, 0), undefined)
      await first.release()
      const second = await b.leases.acquire(id, 5000, 0)
      assert.ok(second)
      assert.ok(second.fence > first.fence)
      await first.release()
      assert.equal(await a.leases.acquire(id, 5000, 0), undefined, 'a release that comes late frees nothing')
      await second.release()
    })

    test('whoever waits for a lease gets it when it is given back', async () => {
      const id = await open(a)
      const first = await a.leases.acquire(id, 5000, 0)
      const waiting = b.leases.acquire(id, 5000, 5000)
      await first?.release()
      const second = await waiting
      assert.ok(second)
      await second.release()
    })

    test('a lease outlives its time while it is held, and is renewed', async () => {
      const id = await open(a)
      const lease = await a.leases.acquire(id, 150, 0)
      assert.ok(lease)
      assert.equal(await b.leases.acquire(id, 150, 500), undefined)
      assert.equal(lease.lost.aborted, false)
      await lease.release()
    })

    test('a rotation under an older fence loses', async () => {
      const id = await open(a)
      const first = await a.leases.acquire(id, 5000, 0)
      await first?.release()
      const second = await b.leases.acquire(id, 5000, 0)
      assert.ok(first && second)
      assert.equal(
        await b.vault.rotate(id, { refreshToken: secret('refresh-2'), tokens: [token('orders', 'o2')] }, second.fence),
        'done',
      )
      assert.equal(await a.vault.rotate(id, { refreshToken: secret('refresh-1'), tokens: [] }, first.fence), 'changed')
      assert.equal((await a.vault.refreshToken(id))?.token.reveal(), 'refresh-2')
      assert.equal((await a.sessions.load(id))?.tokens.get('orders')?.value.reveal(), 'o2')
      await second.release()
    })

    test('shared leases guard what is no session', async () => {
      const key = randomBytes(8).toString('hex')
      const first = await a.leases.acquireShared(key, 5000, 0)
      assert.equal(await b.leases.acquireShared(key, 5000, 0), undefined)
      await first?.release()
      const second = await b.leases.acquireShared(key, 5000, 0)
      assert.ok(first && second && second.fence > first.fence)
      await second.release()
    })

    test('sessions are found by user, by the sid of the provider and by handle, and no longer once they ended', async () => {
      const sub = randomBytes(6).toString('hex')
      const one = await open(a, sub)
      const two = await open(b, sub)
      const found = await a.sessions.find({ issuer: 'https://idp.example.com', sub })
      assert.deepEqual(found.map((s) => s.id).sort(), [one, two].sort())
      assert.deepEqual(
        (await b.sessions.find({ handle: handleOf(one) })).map((s) => s.id),
        [one],
      )
      assert.ok((await b.sessions.find({ issuer: 'https://idp.example.com', sid: 'provider-sid' })).length >= 2)
      await a.sessions.end([one], 'logout')
      assert.deepEqual(
        (await b.sessions.find({ issuer: 'https://idp.example.com', sub })).map((s) => s.id),
        [two],
      )
      const listed: SessionId[] = []
      for await (const s of a.sessions.list()) listed.push(s.id)
      assert.ok(listed.includes(two) && !listed.includes(one))
    })

    test('once is true once, whichever replica asks', async () => {
      const key = randomBytes(8).toString('hex')
      const answers = await Promise.all([
        a.sessions.once(key, 60_000),
        b.sessions.once(key, 60_000),
        a.sessions.once(key, 60_000),
      ])
      assert.deepEqual(answers.filter(Boolean), [true])
      assert.equal(await b.sessions.once(key, 60_000), false)
    })

    test('a counter counts for all replicas and tells what is left of its window', async () => {
      const key = randomBytes(8).toString('hex')
      assert.equal((await a.sessions.count(key, 60_000)).count, 1)
      const second = await b.sessions.count(key, 60_000)
      assert.equal(second.count, 2)
      assert.ok(second.resetMs > 0 && second.resetMs <= 60_000)
    })

    test('an end on one replica is told to the other', async () => {
      assert.equal(await retold(a, b), 'revoked')
    })

    test('the other replica sees a new version, and an end, without being told to look', async () => {
      const id = await open(a)
      assert.ok(await b.sessions.load(id))
      const read = await a.sessions.load(id)
      assert.ok(read)
      await a.sessions.update(id, read.version, { ...read.state, acr: 'new' })
      await until(async () => (await b.sessions.load(id))?.state.acr === 'new')
      await a.sessions.end([id], 'logout')
      await until(async () => (await b.sessions.load(id)) === undefined)
    })

    test('machine tokens are shared by replicas', async () => {
      const service = randomBytes(6).toString('hex')
      await a.vault.keepMachineToken(service, token(service, 'machine-1'))
      assert.equal((await b.vault.machineToken(service))?.value.reveal(), 'machine-1')
    })

    test('a new secret in front signs and seals, the old one still opens; without it the session is nobody any more', async () => {
      const id = await open(a)
      const next = await kind.open(['fedcba9876543210fedcba9876543210', '0123456789abcdef0123456789abcdef'])
      const other = await kind.open(['fedcba9876543210fedcba9876543210'])
      try {
        assert.equal((await next.sessions.load(id))?.record.sub, 'alice-the-subject')
        assert.equal((await next.sessions.find({ handle: handleOf(id) })).length, 1)
        assert.equal(await other.sessions.load(id), undefined)
        assert.equal(await other.vault.refreshToken(id), undefined)
      } finally {
        await next.close()
        await other.close()
      }
    })
  })
}

/** Ends sessions until the other side tells of one: it listens from its first listener on, and is not owed what was before. */
async function retold(a: Stores, b: Stores): Promise<string> {
  for (;;) {
    const id = await open(a)
    const told = new Promise<string>((resolve) => {
      const stop = b.sessions.onEnded((ended, reason) => {
        if (ended !== id) return
        stop()
        resolve(reason)
      })
    })
    await a.sessions.end([id], 'revoked')
    const reason = await Promise.race([told, new Promise<undefined>((r) => setTimeout(() => r(undefined), 400))])
    if (reason !== undefined) return reason
  }
}

async function until(ask: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 5000
  while (!(await ask())) {
    if (performance.now() > deadline) throw new Error('it did not come true')
    await new Promise((r) => setTimeout(r, 5))
  }
}

test('R14 a stolen database shows no token, no name and no address, and its files are of mode 0600 in a folder of 0700', async () => {
  const home = mkdtempSync(join(tmpdir(), 'bff-stolen-'))
  try {
    const path = join(home, 'data', 'sessions.db')
    const s = await openStores({
      settings: settings(`sqlite:${path}`),
      clock: systemClock,
      emit: () => undefined,
      random,
    })
    const id = await open(s)
    await s.vault.keep(id, token('orders', 'orders-token-in-the-clear'))
    const files = readdirSync(join(home, 'data'))
    assert.equal(statSync(join(home, 'data')).mode & 0o777, 0o700)
    for (const file of files) assert.equal(statSync(join(home, 'data', file)).mode & 0o777, 0o600, file)
    const bytes = files.map((f) => readFileSync(join(home, 'data', f)).toString('latin1')).join('')
    for (const hidden of [
      'orders-token',
      'refresh-token',
      'login-token',
      'id-token-0',
      'alice',
      'secret.example',
      '203.0.113.9',
      'provider-sid',
    ])
      assert.ok(!bytes.includes(hidden), hidden)
    await s.close()
    const again = await openStores({
      settings: settings(`sqlite:${path}`),
      clock: systemClock,
      emit: () => undefined,
      random,
    })
    assert.equal(
      (await again.sessions.load(id))?.tokens.get('orders')?.value.reveal(),
      'orders-token-in-the-clear',
      'it survives a restart',
    )
    await again.close()
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
})

test('a ciphertext moved to another session or slot opens nowhere', async () => {
  const home = mkdtempSync(join(tmpdir(), 'bff-moved-'))
  try {
    const path = join(home, 'data', 'sessions.db')
    const s = await openStores({
      settings: settings(`sqlite:${path}`),
      clock: systemClock,
      emit: () => undefined,
      random,
    })
    const [one, two] = [await open(s), await open(s)]
    await s.vault.keep(one, token('orders', 'of-one'))
    const { DatabaseSync } = await import('node:sqlite')
    const db = new DatabaseSync(path)
    db.prepare("INSERT INTO slots SELECT ?, slot, value FROM slots WHERE id = ? AND slot = 'orders'").run(two, one)
    db.prepare("INSERT INTO slots SELECT id, 'billing', value FROM slots WHERE id = ? AND slot = 'orders'").run(one)
    db.prepare('UPDATE sessions SET revision = revision + 1').run()
    db.close()
    assert.equal((await s.sessions.load(two))?.tokens.has('orders'), false)
    assert.equal((await s.sessions.load(one))?.tokens.has('billing'), false)
    assert.equal((await s.sessions.load(one))?.tokens.get('orders')?.value.reveal(), 'of-one')
    await s.close()
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
})
