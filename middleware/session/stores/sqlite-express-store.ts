import session from 'express-session'
import type { DatabaseSync } from 'node:sqlite'
import { StoreUnavailable } from '../../types.ts'
import type { RecordSeal } from '../backend.ts'

/**
 * express-session's store on SQLite. It writes a record only beside a state that is there: a save that comes after the
 * session's end finds none and revives nothing.
 */
export class SqliteExpressStore extends session.Store {
  readonly #read
  readonly #write
  readonly #seal: RecordSeal

  constructor(db: DatabaseSync, seal: RecordSeal) {
    super()
    this.#seal = seal
    this.#read = db.prepare('SELECT record FROM sessions WHERE id = ? AND record IS NOT NULL')
    this.#write = db.prepare('UPDATE sessions SET record = ?, revision = revision + 1 WHERE id = ?')
  }

  override get(sid: string, done: (e: unknown, data?: session.SessionData | null) => void): void {
    this.#answer(done, () => {
      const row = this.#read.get(sid)
      const data = row === undefined ? undefined : this.#seal.open(sid, String(row['record']))
      return (data ?? null) as session.SessionData | null
    })
  }

  override set(sid: string, data: session.SessionData, done?: (e?: unknown) => void): void {
    this.#answer(done ?? (() => undefined), () => {
      const { changes } = this.#write.run(this.#seal.seal(sid, data), sid)
      if (Number(changes) === 0) throw new StoreUnavailable('the session ended before its record was saved')
    })
  }

  /** Sessions end through SessionStore.end, which tells the other replicas; express-session alone ends none. */
  override destroy(_sid: string, done?: (e?: unknown) => void): void {
    done?.()
  }

  override touch(_sid: string, _data: session.SessionData, done?: () => void): void {
    done?.()
  }

  #answer<T>(done: (e: unknown, value?: T) => void, work: () => T): void {
    let value: T
    try {
      value = work()
    } catch (e) {
      done(e instanceof StoreUnavailable ? e : new StoreUnavailable('SQLite failed', { cause: e }))
      return
    }
    done(null, value)
  }
}
