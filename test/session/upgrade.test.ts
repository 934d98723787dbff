import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { createClient } from 'redis'
import { secret } from '../../config/secret.ts'
import { startRedis } from '../../demo/launcher/index.ts'
import { deriveKeys } from '../../middleware/session/keys.ts'
import { createSealer } from '../../middleware/session/seal.ts'
import {
  readRecord,
  readState,
  readToken,
  SCHEMA_VERSION,
  Unreadable,
  writeRecord,
  writeState,
  writeToken,
} from '../../middleware/session/serialize.ts'
import type { Stores } from '../../middleware/session/open-stores.ts'
import type { SessionId } from '../../middleware/types.ts'
import { create, named, open, random } from '../support/stores.ts'

type Fields = Record<string, unknown>

interface Fixture {
  readonly secret: string
  readonly id: SessionId
  readonly sqlite: {
    readonly schema: readonly string[]
    readonly row: Record<string, string | number>
    readonly slots: Record<string, string>
    readonly indexes: readonly string[]
  }
  readonly plain: { readonly record: Fields; readonly state: Fields; readonly token: Fields }
}

const released = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures', 'version-1.json'), 'utf8')) as Fixture

/** What a release wrote stays what it is: these bytes are of then. */
async function assertReads(stores: Stores): Promise<void> {
  const live = await stores.sessions.load(released.id)
  assert.deepEqual(live?.record, released.plain.record)
  assert.deepEqual(live.state, released.plain.state)
  const token = live.tokens.get('orders')
  assert.deepEqual({ ...token, value: token?.value.reveal() }, released.plain.token)
  assert.equal((await stores.vault.refreshToken(released.id))?.token.reveal(), 'refresh-1')
  assert.equal((await stores.vault.idToken(released.id))?.reveal(), 'id-token-1')
  assert.equal((await stores.sessions.find({ issuer: 'https://idp.example.com', sub: 'alice' })).length, 1)
  assert.equal(await stores.sessions.update(released.id, live.version, { ...live.state, acr: 'urn:three' }), 'done')
  assert.equal((await stores.sessions.load(released.id))?.state.acr, 'urn:three')
  assert.deepEqual(await stores.sessions.end([released.id], 'logout'), [released.id])
}

describe('a session of the first release is read, found, changed and ended', () => {
  test('from a SQLite file', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-released-'))
    const path = join(dir, 'sessions.db')
    const db = new DatabaseSync(path)
    const { schema, row, slots, indexes } = released.sqlite
    for (const statement of schema) if (!statement.includes('sqlite_sequence')) db.exec(statement)
    const names = Object.keys(row)
    db.prepare(`INSERT INTO sessions (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`).run(
      ...Object.values(row),
    )
    for (const [slot, value] of Object.entries(slots))
      db.prepare('INSERT INTO slots (id, slot, value) VALUES (?, ?, ?)').run(released.id, slot, value)
    for (const key of indexes) db.prepare('INSERT INTO indexes (key, id) VALUES (?, ?)').run(key, released.id)
    db.close()
    const { stores } = await open(`sqlite:${path}`, { secrets: [secret(released.secret)] })
    try {
      await assertReads(stores)
    } finally {
      await stores.close()
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test('from Redis', async () => {
    const redis = await startRedis()
    const { row, slots, indexes } = released.sqlite
    const client = await createClient({ url: redis.url }).connect()
    await client.set(`bff:sess:${released.id}`, String(row['record']))
    await client.hSet(`bff:state:{bff:sess:${released.id}}`, {
      v: '1',
      r: '1',
      s: String(row['state']),
      i: String(row['idle']),
      x: String(row['expires']),
      f: '0',
      ix: JSON.stringify(indexes),
      ...Object.fromEntries(Object.entries(slots).map(([slot, value]) => [`t:${slot}`, value])),
    })
    for (const key of indexes) await client.sAdd(`bff:index:{${key}}`, released.id)
    client.destroy()
    const { stores } = await open(redis.url, { secrets: [secret(released.secret)] })
    try {
      await assertReads(stores)
    } finally {
      await stores.close()
      await redis.stop()
    }
  })
})

const forms = [
  ['record', released.plain.record, (text: string) => pass(readRecord(text), writeRecord)],
  ['state', released.plain.state, (text: string) => pass(readState(text), writeState)],
  [
    'token',
    { i: 'id', s: 'orders', t: 'value', y: 'Bearer', a: ['x'], c: ['read'], r: 1, e: 2 },
    (text: string) => pass(readToken(text), writeToken),
  ],
] as const

function pass<T>(read: T | Unreadable, write: (t: T) => string): Fields | Unreadable {
  return read instanceof Unreadable ? read : (JSON.parse(write(read)) as Fields)
}

for (const [name, plain, through] of forms) {
  test(`a ${name} of the next release is read, and written again whole`, () => {
    const next = { ...plain, v: SCHEMA_VERSION + 1, added: { by: ['the next'] } }
    assert.deepEqual(through(JSON.stringify(next)), next)
  })

  test(`a ${name} of the release before is read, and written again as of this one`, () => {
    assert.deepEqual(through(JSON.stringify({ ...plain, v: SCHEMA_VERSION - 1 })), { ...plain, v: SCHEMA_VERSION })
  })

  test(`a ${name} two versions away, or malformed, is unreadable and no error`, () => {
    for (const v of [SCHEMA_VERSION + 2, SCHEMA_VERSION - 2, 99])
      assert.ok(through(JSON.stringify({ ...plain, v })) instanceof Unreadable, String(v))
    for (const text of ['', '{', 'null', '[]', '"text"', '{}', JSON.stringify({ ...plain, v: '1' })])
      assert.ok(through(text) instanceof Unreadable, text)
    for (const field of Object.keys(plain).filter((f) => !['v', 'sid', 'acr', 'e', 'ip', 'userAgent'].includes(f)))
      assert.ok(through(JSON.stringify({ ...plain, [field]: null })) instanceof Unreadable, field)
  })
}

test('a session of a release too far ahead is nobody here, told once, and stays for that release', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'bff-ahead-'))
  const path = join(dir, 'data', 'sessions.db')
  const key = secret('0123456789abcdef0123456789abcdef')
  const { stores, events } = await open(`sqlite:${path}`)
  const sealer = createSealer(deriveKeys([key], 'vault v1'), random)
  const db = new DatabaseSync(path)
  try {
    const [ahead, broken] = [await create(stores), await create(stores)]
    const put = (id: SessionId, state: string): void => {
      db.prepare('UPDATE sessions SET state = ?, revision = revision + 1 WHERE id = ?').run(
        sealer.seal(state, 'state', id),
        id,
      )
    }
    put(ahead, JSON.stringify({ ...released.plain.state, v: SCHEMA_VERSION + 2 }))
    put(broken, '{"v":1,')
    for (let i = 0; i < 5; i++)
      for (const id of [ahead, broken]) assert.equal(await stores.sessions.load(id), undefined)
    assert.equal(named(events, 'sealed_unreadable'), 2)
    assert.deepEqual(
      events.filter((e) => e.name === 'sealed_unreadable').map((e) => e.fields?.['why']),
      [`schema version ${SCHEMA_VERSION + 2}`, 'malformed'],
    )
    assert.equal(db.prepare('SELECT count(*) AS n FROM sessions').get()?.['n'], 2)
    // The record as express-session asks for it: malformed is none, not an exception.
    db.prepare('UPDATE sessions SET record = ? WHERE id = ?').run(sealer.seal('{"cookie":', 'record', ahead), ahead)
    const store = await stores.expressStore()
    const got = await new Promise((resolve, reject) => {
      store.get(ahead, (e: unknown, data) => (e instanceof Error ? reject(e) : resolve(data)))
    })
    assert.equal(got, null)
  } finally {
    db.close()
    await stores.close()
    rmSync(dir, { recursive: true, force: true })
  }
})
