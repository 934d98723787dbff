import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

const SCHEMA = `
CREATE TABLE IF NOT EXISTS sessions (
  id TEXT PRIMARY KEY, record TEXT, version INTEGER NOT NULL, state TEXT NOT NULL, idle INTEGER NOT NULL,
  expires INTEGER NOT NULL, fence INTEGER NOT NULL, next_fence INTEGER NOT NULL, revision INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS sessions_expires ON sessions (expires);
CREATE TABLE IF NOT EXISTS slots (id TEXT NOT NULL, slot TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (id, slot));
CREATE TABLE IF NOT EXISTS indexes (key TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (key, id));
CREATE INDEX IF NOT EXISTS indexes_id ON indexes (id);
CREATE TABLE IF NOT EXISTS leases (key TEXT PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL, fence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS shared (key TEXT PRIMARY KEY, value TEXT NOT NULL, until INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS shared_until ON shared (until);
CREATE TABLE IF NOT EXISTS ended (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL, until INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS ended_id ON ended (id);
CREATE INDEX IF NOT EXISTS ended_until ON ended (until);
`

/**
 * Opens the sessions' database: a file of mode 0600 in a folder of mode 0700, or `:memory:`. WAL lets readers go on while
 * one writes; NORMAL loses at most the last moments at a power cut, never the file's sense.
 *
 * @throws Error where the folder belongs to somebody else or the file is no database; the service does not start then.
 */
export function openSqliteFile(path: string): DatabaseSync {
  if (path !== ':memory:') makePrivate(resolve(path))
  const db = new DatabaseSync(path, { timeout: 2000 })
  db.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;',
  )
  db.exec(SCHEMA)
  return db
}

function makePrivate(file: string): void {
  const folder = dirname(file)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { mode, uid } = statSync(folder)
  if ((mode & 0o077) !== 0) tighten(folder, mode, uid)
  // SQLite gives its -wal and -shm files the mode of the database.
  closeSync(openSync(file, 'a', 0o600))
  chmodSync(file, 0o600)
}

/** A folder that others share (`/tmp`, the working directory) is not ours to close to them. */
function tighten(folder: string, mode: number, uid: number): void {
  const shared = (mode & 0o1000) !== 0 || folder === process.cwd() || folder === '/'
  if (shared || uid !== process.getuid?.())
    throw new Error(
      `the folder of session.store, ${folder}, is open to other users; give the database a folder of its own (mode 0700)`,
    )
  chmodSync(folder, 0o700)
}
