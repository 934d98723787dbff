import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { until } from '../../demo/launcher/index.ts'
import { systemClock } from '../../middleware/clock.ts'
import { newSessionId } from '../../middleware/session/handle.ts'
import { openSqlite } from '../../middleware/session/stores/sqlite.ts'
import { openSqliteFile } from '../../middleware/session/stores/sqlite-file.ts'
import { StoreUnavailable, type BffEvent, type EpochMs } from '../../middleware/types.ts'
import { send } from '../support/client.ts'
import { startService } from '../support/service.ts'
import { create, failing, named, now, open, random } from '../support/stores.ts'

const CLI = join(import.meta.dirname, '..', '..', 'cli.ts')
const run = promisify(execFile)

/** The backend on a real file, with a hand on its connection. */
function openBackend(path: string) {
  const events: BffEvent[] = []
  let connection: DatabaseSync | undefined
  const backend = openSqlite({
    path,
    clock: systemClock,
    emit: (e) => events.push(e),
    random,
    seal: { seal: (_id, data) => JSON.stringify(data), open: (_id, text) => JSON.parse(text) as object },
    openFile: (p) => (connection = openSqliteFile(p)),
  })
  const db = connection
  assert.ok(db)
  const add = async (bytes = 10): Promise<void> => {
    const id = newSessionId(random)
    await backend.open(id, {
      state: 'x'.repeat(bytes),
      idleUntil: now(),
      expiresAt: (now() + 60_000) as EpochMs,
      slots: {},
      indexes: [],
    })
  }
  return { backend, events, db, add }
}

const unavailable = (e: unknown): boolean => e instanceof StoreUnavailable

describe('a SQLite store that can be read and not written', () => {
  for (const [name, begin, end] of [
    ['its disk is full', 'PRAGMA max_page_count = 1', 'PRAGMA max_page_count = 1000000'],
    ['it is read-only', 'PRAGMA query_only = ON', 'PRAGMA query_only = OFF'],
  ] as const) {
    test(`${name}: one line when it begins, one when it ends, however often it is read between`, async () => {
      const dir = mkdtempSync(join(tmpdir(), 'bff-full-'))
      const { backend, events, db, add } = openBackend(join(dir, 'data', 'sessions.db'))
      try {
        await add()
        db.exec(begin)
        for (let i = 0; i < 5; i++) {
          await assert.rejects(add(200_000), unavailable)
          assert.equal(await backend.load(newSessionId(random)), undefined, 'reading goes on')
        }
        assert.equal((await backend.health()).up, false)
        assert.deepEqual([named(events, 'store_down'), named(events, 'store_up')], [1, 0])
        db.exec(end)
        await add(200_000)
        assert.equal((await backend.health()).up, true)
        assert.deepEqual([named(events, 'store_down'), named(events, 'store_up')], [1, 1])
      } finally {
        await backend.close()
        rmSync(dir, { recursive: true, force: true })
      }
    })
  }

  test('who is signed in stays so, a sign-in is 503, /ready says down, and it is over without a restart', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-locked-'))
    const path = join(dir, 'data', 'sessions.db')
    const s = await startService({ store: `sqlite:${path}` })
    const other = new DatabaseSync(path)
    try {
      const client = await s.signIn()
      const begun = s.client()
      const login = await begun.page('/auth/login')
      const back = await s.provider.signIn(new URL(login.headers.get('location') ?? ''))
      other.exec('BEGIN IMMEDIATE')
      const refused = await begun.page(back.pathname + back.search)
      assert.equal(refused.status, 503)
      assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/)
      assert.equal((await s.verify('/plain/1', { client })).status, 200)
      assert.equal((await send(`${s.adminUrl}/ready`)).status, 503)
      assert.equal((await s.verify('/plain/1', { client })).status, 200)
      other.exec('ROLLBACK')
      await until('ready', async () => (await send(`${s.adminUrl}/ready`)).status === 200)
      assert.equal((await s.verify('/plain/1', { client: await s.signIn() })).status, 200)
      const said = (msg: string): number => s.logs.filter((l) => l['msg'] === msg).length
      assert.deepEqual([said('store_down'), said('store_up')], [1, 1])
    } finally {
      other.close()
      await s.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

describe('a SQLite file that another process holds locked', () => {
  test('is waited for by the first write alone: a wait stops the process, and health probes with it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-waits-'))
    const path = join(dir, 'data', 'sessions.db')
    const { backend, events, add } = openBackend(path)
    const other = new DatabaseSync(path)
    try {
      other.exec('BEGIN IMMEDIATE')
      const began = performance.now()
      await assert.rejects(add(), unavailable)
      const first = performance.now() - began
      for (let i = 0; i < 20; i++) await assert.rejects(add(), unavailable)
      const later = performance.now() - began - first
      assert.ok(later < first, `20 refusals took ${later} ms, the first alone ${first} ms`)
      assert.equal((await backend.health()).up, false)
      other.exec('ROLLBACK')
      assert.equal((await backend.health()).up, true)
      assert.deepEqual([named(events, 'store_down'), named(events, 'store_up')], [1, 1])
    } finally {
      other.close()
      await backend.close()
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

describe('a SQLite file under a running server', () => {
  test('that is taken away is an outage, and over when it is there again', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-gone-'))
    const path = join(dir, 'data', 'sessions.db')
    const { stores, events } = await open(`sqlite:${path}`)
    try {
      const id = await create(stores)
      renameSync(join(dir, 'data'), join(dir, 'elsewhere'))
      await until('the outage', () => failing(async () => stores.sessions.load(id)))
      assert.equal((await stores.sessions.health()).up, false)
      assert.ok(await failing(() => create(stores)))
      renameSync(join(dir, 'elsewhere'), join(dir, 'data'))
      await until('recovery', async () => !(await failing(async () => stores.sessions.load(id))))
      assert.ok(await stores.sessions.load(id))
      assert.ok(await create(stores))
      assert.deepEqual([named(events, 'store_down'), named(events, 'store_up')], [1, 1])
    } finally {
      await stores.close()
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test('that is replaced by a copy of before is opened anew, and what was revoked in between stays so', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-replaced-'))
    const path = join(dir, 'data', 'sessions.db')
    const first = await open(`sqlite:${path}`)
    const id = await create(first.stores)
    await first.stores.close()
    copyFileSync(path, join(dir, 'kept.db'))
    const { stores, events } = await open(`sqlite:${path}`)
    try {
      assert.ok(await stores.sessions.load(id))
      await stores.sessions.revokeAll(now())
      renameSync(join(dir, 'kept.db'), path)
      await until('opened anew', async () => named(events, 'store_up') === 1)
      assert.equal(await stores.sessions.load(id), undefined)
      assert.ok(await stores.sessions.loadToEnd(id), 'it is the copy')
      const fresh = await create(stores)
      const other = await open(`sqlite:${path}`)
      assert.ok(await other.stores.sessions.load(fresh), 'others on the name see what this one writes')
      await other.stores.close()
    } finally {
      await stores.close()
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test('that is no database, or a damaged one, stops the start with exit 1 and a sentence', async () => {
    const s = await startService()
    const dir = mkdtempSync(join(tmpdir(), 'bff-damaged-'))
    const path = join(dir, 'sessions.db')
    try {
      s.rewrite({
        settings: (base) => {
          base.session['store'] = `sqlite:${path}`
        },
      })
      writeFileSync(path, 'this is no database, and long enough to be looked at as one '.repeat(200))
      const failed = await run(process.execPath, [CLI, 'serve', '--config', s.dir]).then(
        () => assert.fail('it started'),
        (e: unknown) => e as { code: number; stderr: string },
      )
      assert.equal(failed.code, 1)
      assert.match(failed.stderr, /cannot start: session\.store: .*sessions\.db is damaged or no SQLite database/)
    } finally {
      await s.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  })
})
