import { chmodSync, closeSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs'
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
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
`

/** How long a call waits for another process that writes; nothing of ours holds the file for longer. */
export const LOCK_WAIT_MS = 500

/** SQLITE_BUSY and its extended codes (https://sqlite.org/rescode.html#busy). */
export const isLocked = (e: unknown): boolean =>
  e instanceof Error && 'errcode' in e && (Number(e.errcode) & 0xff) === 5

/**
 * Opens the sessions' database: a file of mode 0600 in a folder of mode 0700, or `:memory:`. WAL lets readers go on while
 * one writes; NORMAL loses at most the last moments at a power cut, never the file's sense.
 *
 * @throws Error where the folder belongs to somebody else or the file is no database or damaged; the service does not start then.
 */
export function openSqliteFile(path: string): DatabaseSync {
  if (path !== ':memory:') makePrivate(resolve(path))
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(path, { timeout: 2000 })
    db.exec(
      'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;',
    )
    // A damaged file may open well and fail at some request.
    const [found] = db.prepare('PRAGMA quick_check(1)').all()
    if (found?.['quick_check'] !== 'ok') throw new Error(String(found?.['quick_check']))
    db.exec(SCHEMA)
    db.exec(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`)
    return db
  } catch (e) {
    if (db?.isOpen === true) db.close()
    throw new Error(explain(path, e), { cause: e })
  }
}

/** SQLite's result codes (https://sqlite.org/rescode.html), and what to do. */
function explain(path: string, e: unknown): string {
  const code = e instanceof Error && 'errcode' in e ? Number(e.errcode) & 0xff : undefined
  const said = e instanceof Error ? e.message : 'failed'
  switch (code) {
    case 5:
      return `session.store: ${path} is held locked by another process (${said})`
    case 8:
      return `session.store: ${path} cannot be written (${said}); give this user the right to write it and its folder`
    case 13:
      return `session.store: the disk of ${path} is full (${said})`
    case undefined:
    case 11:
    case 26:
      return `session.store: ${path} is damaged or no SQLite database (${said}); put a good copy in its place, or move it away with its -wal and -shm files to begin with none: everybody then signs in again`
    default:
      return `session.store: ${path} cannot be opened (${said})`
  }
}

export interface FileWatch {
  /** What is wrong with the file under the name of the one that is open; undefined while it is the same. */
  gone(): string | undefined
  isThere(): boolean
  /** Removes the log that belongs to the file before: SQLite would play it into the new one. */
  dropStaleLog(): void
}

/** Looks whether the name still leads to the file that was just opened: another process would open another one. */
export function watchFileOf(path: string): FileWatch {
  if (path === ':memory:') return { gone: () => undefined, isThere: () => true, dropStaleLog: () => undefined }
  const file = resolve(path)
  const opened = inode(file)
  const beside = [`${file}-wal`, `${file}-shm`].map((name) => ({ name, was: inode(name) }))
  return {
    gone: () => {
      const now = inode(file)
      if (now === opened) return undefined
      return now === undefined ? `${path} is gone from its folder` : `${path} was replaced by another file`
    },
    isThere: () => inode(file) !== undefined,
    dropStaleLog: () => {
      for (const { name, was } of beside) if (was !== undefined && inode(name) === was) rmSync(name)
    },
  }
}

function inode(file: string): string | undefined {
  try {
    const { dev, ino } = statSync(file, { bigint: true })
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
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
