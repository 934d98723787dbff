import type { DatabaseSync, StatementSync } from 'node:sqlite'
import {
  StoreUnavailable,
  type Clock,
  type Emit,
  type EndReason,
  type EpochMs,
  type SessionId,
  type Write,
} from '../../types.ts'
import type { LeaseGrant, NewStored, RecordSeal, SessionBackend, StoredSession } from '../backend.ts'
import { createEndedFeed } from './sqlite-ended.ts'
import { SqliteExpressStore } from './sqlite-express-store.ts'
import { openSqliteFile } from './sqlite-file.ts'
import { startSweeper } from './sqlite-sweep.ts'

export interface SqliteOptions {
  /** A file, or `:memory:`. */
  readonly path: string
  readonly clock: Clock
  readonly emit: Emit
  readonly seal: RecordSeal
  readonly random: (bytes: number) => Uint8Array
}

/** Why a session ended is told for this long after its expiry. */
const TOMBSTONE_MS = 60 * 60_000
/** No lease lives longer, so one that claims to is of before a reboot, when the monotonic clock began anew. */
const LONGEST_LEASE_MS = 5 * 60_000

type LeaseKey = { readonly session: SessionId } | { readonly shared: string }

/**
 * Sessions in one SQLite file: embedded, synchronous, for one machine. Versions, fences and leases are in the file, so a
 * second process on it (`traefik-bff sessions`, or another server) is safe.
 */
export function openSqlite(o: SqliteOptions): SessionBackend {
  const db = openSqliteFile(o.path)
  const me = Buffer.from(o.random(9)).toString('base64url')
  const sql = prepare(db)
  const feed = createEndedFeed(db, me)
  const stopSweeping = startSweeper(db, o.clock)
  const guard = guardWith(db, o.emit)
  const write = (statement: StatementSync, ...values: (string | number)[]): boolean =>
    Number(statement.run(...values).changes) > 0
  const missing = (id: SessionId): Write => (sql.exists.get(id) === undefined ? 'gone' : 'changed')
  const leaseName = (key: LeaseKey): string => ('session' in key ? `session|${key.session}` : `shared|${key.shared}`)

  const takeLease = (key: LeaseKey, owner: string, ttlMs: number): LeaseGrant | undefined | 'gone' => {
    const now = o.clock.monoMs()
    const held = sql.lease.get(leaseName(key))
    const until = Number(held?.['until'] ?? 0)
    if (
      held !== undefined &&
      held['owner'] !== '' &&
      held['owner'] !== owner &&
      until > now &&
      until - now < LONGEST_LEASE_MS
    )
      return undefined
    let fence = Number(held?.['fence'] ?? 0) + 1
    if ('session' in key) {
      const row = sql.nextFence.get(key.session)
      if (row === undefined) return 'gone'
      fence = Number(row['next_fence'])
    }
    sql.putLease.run(leaseName(key), owner, now + ttlMs, fence)
    return { owner, fence }
  }

  return {
    expressStore: new SqliteExpressStore(db, o.seal),
    open: async (id, s) => guard(() => transaction(db, () => insert(sql, id, s))),
    peek: (id) =>
      guard(() => {
        const row = sql.peek.get(id)
        return row === undefined
          ? undefined
          : { revision: Number(row['revision']), idleUntil: Number(row['idle']) as EpochMs }
      }),
    load: (id) => guard(() => read(sql, id)),
    endedReason: (id) => guard(() => sql.endedReason.get(id)?.['reason'] as EndReason | undefined),
    update: async (id, readVersion, state) =>
      guard(() => (write(sql.update, state, id, readVersion) ? 'done' : missing(id))),
    touch: async (id, idleUntil) => guard(() => (write(sql.touch, idleUntil, id) ? 'done' : 'gone')),
    putSlot: async (id, slot, value) =>
      guard(() =>
        transaction(db, () => {
          if (!write(sql.bump, id)) return 'gone'
          if (value === undefined) sql.dropSlot.run(id, slot)
          else sql.putSlot.run(id, slot, value)
          return 'done'
        }),
      ),
    rotate: async (id, slots, fence) =>
      guard(() =>
        transaction(db, () => {
          if (!write(sql.rotate, fence, id, fence)) return missing(id)
          for (const [slot, value] of Object.entries(slots)) sql.putSlot.run(id, slot, value)
          return 'done'
        }),
      ),
    end: async (ids, reason) => {
      const ended = guard(() => transaction(db, () => ids.filter((id) => remove(sql, id, reason, me, o.clock))))
      for (const id of ended) feed.tell(id, reason)
      return ended
    },
    find: async (index) => guard(() => sql.find.all(index).map((row) => String(row['id']) as SessionId)),
    list: async function* () {
      let after = ''
      for (;;) {
        const page = guard(() => sql.page.all(after))
        for (const row of page) yield String(row['id']) as SessionId
        const last = page.at(-1)
        if (last === undefined) return
        after = String(last['id'])
      }
    },
    once: async (key, ttlMs) =>
      guard(() => {
        const now = o.clock.wallMs()
        return write(sql.once, `once|${key}`, '1', now + ttlMs, now)
      }),
    forget: async (key) => guard(() => void sql.forget.run(`once|${key}`)),
    count: async (key, windowMs) =>
      guard(() => {
        const now = o.clock.wallMs()
        const row = sql.count.get(`count|${key}`, now + windowMs, now, now)
        return { count: Number(row?.['value'] ?? 1), resetMs: Math.max(0, Number(row?.['until'] ?? now) - now) }
      }),
    tryLease: async (key, owner, ttlMs) => guard(() => transaction(db, () => takeLease(key, owner, ttlMs))),
    renewLease: async (key, owner, ttlMs) =>
      guard(() => write(sql.renewLease, o.clock.monoMs() + ttlMs, leaseName(key), owner)),
    releaseLease: async (key, owner) => guard(() => void sql.releaseLease.run(leaseName(key), owner)),
    getShared: async (key) =>
      guard(() => sql.getShared.get(`kept|${key}`, o.clock.wallMs())?.['value'] as string | undefined),
    putShared: async (key, value, ttlMs) =>
      guard(() => void sql.putShared.run(`kept|${key}`, value, o.clock.wallMs() + ttlMs)),
    onEnded: feed.listen,
    health: async () => {
      try {
        sql.exists.get('')
        return { up: true, warnings: [] }
      } catch (e) {
        return { up: false, detail: e instanceof Error ? e.message : 'failed', warnings: [] }
      }
    },
    close: async () => {
      stopSweeping()
      feed.close()
      if (db.isOpen) db.close()
    },
  }
}

type Statements = ReturnType<typeof prepare>

function prepare(db: DatabaseSync) {
  const p = (text: string): StatementSync => db.prepare(text)
  return {
    exists: p('SELECT 1 AS found FROM sessions WHERE id = ?'),
    peek: p('SELECT revision, idle FROM sessions WHERE id = ? AND record IS NOT NULL'),
    load: p('SELECT record, version, state, idle, fence, revision FROM sessions WHERE id = ? AND record IS NOT NULL'),
    slots: p('SELECT slot, value FROM slots WHERE id = ?'),
    insert: p(
      'INSERT INTO sessions (id, record, version, state, idle, expires, fence, next_fence, revision) VALUES (?, NULL, 1, ?, ?, ?, 0, 0, 1)',
    ),
    putSlot: p(
      'INSERT INTO slots (id, slot, value) VALUES (?, ?, ?) ON CONFLICT (id, slot) DO UPDATE SET value = excluded.value',
    ),
    dropSlot: p('DELETE FROM slots WHERE id = ? AND slot = ?'),
    putIndex: p('INSERT OR IGNORE INTO indexes (key, id) VALUES (?, ?)'),
    update: p(
      'UPDATE sessions SET state = ?, version = version + 1, revision = revision + 1 WHERE id = ? AND version = ?',
    ),
    touch: p('UPDATE sessions SET idle = ? WHERE id = ?'),
    bump: p('UPDATE sessions SET revision = revision + 1 WHERE id = ?'),
    rotate: p('UPDATE sessions SET fence = ?, revision = revision + 1 WHERE id = ? AND next_fence = ?'),
    nextFence: p('UPDATE sessions SET next_fence = next_fence + 1 WHERE id = ? RETURNING next_fence'),
    expiry: p('SELECT expires FROM sessions WHERE id = ?'),
    removeSession: p('DELETE FROM sessions WHERE id = ?'),
    removeSlots: p('DELETE FROM slots WHERE id = ?'),
    removeIndexes: p('DELETE FROM indexes WHERE id = ?'),
    removeLease: p('DELETE FROM leases WHERE key = ?'),
    putEnded: p('INSERT INTO ended (id, reason, by, until) VALUES (?, ?, ?, ?)'),
    endedReason: p('SELECT reason FROM ended WHERE id = ?'),
    find: p('SELECT id FROM indexes WHERE key = ?'),
    page: p('SELECT id FROM sessions WHERE id > ? AND record IS NOT NULL ORDER BY id LIMIT 200'),
    once: p(
      'INSERT INTO shared (key, value, until) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE shared.until <= ?',
    ),
    count: p(
      `INSERT INTO shared (key, value, until) VALUES (?1, 1, ?2) ON CONFLICT (key) DO UPDATE SET
       value = CASE WHEN shared.until <= ?3 THEN 1 ELSE shared.value + 1 END, until = CASE WHEN shared.until <= ?4 THEN ?2 ELSE shared.until END RETURNING value, until`,
    ),
    lease: p('SELECT owner, until, fence FROM leases WHERE key = ?'),
    putLease: p(
      'INSERT INTO leases (key, owner, until, fence) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, until = excluded.until, fence = excluded.fence',
    ),
    renewLease: p('UPDATE leases SET until = ? WHERE key = ? AND owner = ?'),
    // The row stays: a shared lease's fence goes on rising.
    releaseLease: p("UPDATE leases SET owner = '', until = 0 WHERE key = ? AND owner = ?"),
    forget: p('DELETE FROM shared WHERE key = ?'),
    getShared: p('SELECT value FROM shared WHERE key = ? AND until > ?'),
    putShared: p(
      'INSERT INTO shared (key, value, until) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until',
    ),
  }
}

function insert(sql: Statements, id: SessionId, s: NewStored): void {
  sql.insert.run(id, s.state, s.idleUntil, s.expiresAt + TOMBSTONE_MS)
  for (const [slot, value] of Object.entries(s.slots)) sql.putSlot.run(id, slot, value)
  for (const key of s.indexes) sql.putIndex.run(key, id)
}

function read(sql: Statements, id: SessionId): StoredSession | undefined {
  const row = sql.load.get(id)
  if (row === undefined) return undefined
  const slots = Object.fromEntries(sql.slots.all(id).map((r) => [String(r['slot']), String(r['value'])]))
  return {
    record: String(row['record']),
    version: Number(row['version']),
    state: String(row['state']),
    idleUntil: Number(row['idle']) as EpochMs,
    fence: Number(row['fence']),
    revision: Number(row['revision']),
    slots,
  }
}

function remove(sql: Statements, id: SessionId, reason: EndReason, by: string, clock: Clock): boolean {
  const row = sql.expiry.get(id)
  if (row === undefined) return false
  sql.removeSession.run(id)
  sql.removeSlots.run(id)
  sql.removeIndexes.run(id)
  sql.removeLease.run(`session|${id}`)
  sql.putEnded.run(id, reason, by, Math.max(Number(row['expires']), clock.wallMs()) + TOMBSTONE_MS)
  return true
}

function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    db.exec('COMMIT')
    return result
  } catch (e) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw e
  }
}

/** Any fault of SQLite (locked, full, read-only, closed) is an outage: told once when it begins and once when it ends. */
function guardWith(db: DatabaseSync, emit: Emit): <T>(work: () => T) => T {
  let down = false
  return (work) => {
    try {
      if (!db.isOpen) throw new Error('the database is closed')
      const result = work()
      if (down) emit({ name: 'store_up' })
      down = false
      return result
    } catch (e) {
      if (!down)
        emit({ name: 'store_down', fields: { store: 'sqlite', detail: e instanceof Error ? e.message : 'failed' } })
      down = true
      throw new StoreUnavailable('SQLite failed', { cause: e })
    }
  }
}
