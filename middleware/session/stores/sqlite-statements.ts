import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Clock, EndReason, EpochMs, SessionId } from '../../types.ts'
import type { NewStored, StoredSession } from '../backend.ts'

/** Why a session ended is told for this long after its expiry. */
const TOMBSTONE_MS = 60 * 60_000
const EPOCH = 'revoked_before'

export type Statements = ReturnType<typeof prepare>

export function prepare(db: DatabaseSync) {
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
    epoch: p(`SELECT value FROM meta WHERE key = '${EPOCH}'`),
    raiseEpoch: p(
      `INSERT INTO meta (key, value) VALUES ('${EPOCH}', ?) ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value) RETURNING value`,
    ),
    record: p('SELECT record FROM sessions WHERE id = ? AND record IS NOT NULL'),
    saveRecord: p('UPDATE sessions SET record = ?, revision = revision + 1 WHERE id = ?'),
    // As much as a large session takes: on a full disk a small write may still find room.
    probe: p("INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', zeroblob(65536))"),
    dropProbe: p("DELETE FROM meta WHERE key = 'probe'"),
    getShared: p('SELECT value FROM shared WHERE key = ? AND until > ?'),
    putShared: p(
      'INSERT INTO shared (key, value, until) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until',
    ),
  }
}

export function insert(sql: Statements, id: SessionId, s: NewStored): void {
  sql.insert.run(id, s.state, s.idleUntil, s.expiresAt + TOMBSTONE_MS)
  for (const [slot, value] of Object.entries(s.slots)) sql.putSlot.run(id, slot, value)
  for (const key of s.indexes) sql.putIndex.run(key, id)
}

export function read(sql: Statements, id: SessionId): StoredSession | undefined {
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

export function remove(sql: Statements, id: SessionId, reason: EndReason, by: string, clock: Clock): boolean {
  const row = sql.expiry.get(id)
  if (row === undefined) return false
  sql.removeSession.run(id)
  sql.removeSlots.run(id)
  sql.removeIndexes.run(id)
  sql.removeLease.run(`session|${id}`)
  sql.putEnded.run(id, reason, by, Math.max(Number(row['expires']), clock.wallMs()) + TOMBSTONE_MS)
  return true
}

export function transaction<T>(db: DatabaseSync, work: () => T): T {
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
