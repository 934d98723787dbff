import session from 'express-session'
import { StoreUnavailable } from '../../types.ts'
import type { RecordSeal } from '../backend.ts'
import type { OutageKind } from './outages.ts'
import type { Statements } from './sqlite-statements.ts'

export interface SqliteExpressOptions {
  /** Asked each time: the file may have been opened anew. */
  readonly sql: () => Statements
  readonly guard: <T>(kind: OutageKind, work: () => T) => T
  readonly seal: RecordSeal
}

/**
 * express-session's store on SQLite. It writes a record only beside a state that is there: a save that comes after the
 * session's end finds none and revives nothing.
 */
export class SqliteExpressStore extends session.Store {
  readonly #o: SqliteExpressOptions

  constructor(o: SqliteExpressOptions) {
    super()
    this.#o = o
  }

  override get(sid: string, done: (e: unknown, data?: session.SessionData | null) => void): void {
    const { sql, guard, seal } = this.#o
    this.#answer(done, () => {
      const row = guard('read', () => sql().record.get(sid))
      const data = row === undefined ? undefined : seal.open(sid, String(row['record']))
      return (data ?? null) as session.SessionData | null
    })
  }

  override set(sid: string, data: session.SessionData, done?: (e?: unknown) => void): void {
    const { sql, guard, seal } = this.#o
    this.#answer(done ?? (() => undefined), () => {
      const sealed = seal.seal(sid, data)
      const { changes } = guard('write', () => sql().saveRecord.run(sealed, sid))
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
