import type { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../types.ts'

const EVERY_MS = 30_000
/** One DELETE of 20,000 rows blocks for half a second; so many at a time do not. */
const BATCH = 500

/** Removes what has expired, a little at a time. Expired rows are never answered as live, swept or not. */
export function startSweeper(db: DatabaseSync, clock: Clock): () => void {
  const dead = db.prepare(`SELECT id FROM sessions WHERE expires < ? LIMIT ${BATCH}`)
  const parts = [
    'DELETE FROM slots WHERE id = ?',
    'DELETE FROM indexes WHERE id = ?',
    'DELETE FROM sessions WHERE id = ?',
  ].map((text) => db.prepare(text))
  const lease = db.prepare('DELETE FROM leases WHERE key = ?')
  const shared = db.prepare(
    `DELETE FROM shared WHERE rowid IN (SELECT rowid FROM shared WHERE until < ? LIMIT ${BATCH})`,
  )
  const ended = db.prepare(`DELETE FROM ended WHERE seq IN (SELECT seq FROM ended WHERE until < ? LIMIT ${BATCH})`)
  const round = (): void => {
    if (!db.isOpen) return
    const now = clock.wallMs()
    try {
      db.exec('BEGIN IMMEDIATE')
      for (const row of dead.all(now)) {
        for (const part of parts) part.run(String(row['id']))
        lease.run(`session|${String(row['id'])}`)
      }
      shared.run(now)
      ended.run(now)
      db.exec('COMMIT')
    } catch {
      // Locked or full: the next round tries again; whoever needs the store reports it.
      if (db.isTransaction) db.exec('ROLLBACK')
    }
  }
  const timer = setInterval(round, EVERY_MS).unref()
  return () => clearInterval(timer)
}
