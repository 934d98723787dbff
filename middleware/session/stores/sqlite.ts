import type { StatementSync } from 'node:sqlite'
import {
  StoreUnavailable,
  type Clock,
  type Emit,
  type EndReason,
  type EpochMs,
  type SessionId,
  type Write,
} from '../../types.ts'
import type { LeaseGrant, RecordSeal, SessionBackend } from '../backend.ts'
import { tellOutages, type OutageKind } from './outages.ts'
import { createEndedFeed } from './sqlite-ended.ts'
import { isLocked, LOCK_WAIT_MS, openSqliteFile, watchFileOf } from './sqlite-file.ts'
import { insert, prepare, read, remove, transaction } from './sqlite-statements.ts'
import { startSweeper } from './sqlite-sweep.ts'

export interface SqliteOptions {
  /** A file, or `:memory:`. */
  readonly path: string
  readonly clock: Clock
  readonly emit: Emit
  readonly seal: RecordSeal
  readonly random: (bytes: number) => Uint8Array
  readonly openFile?: typeof openSqliteFile
}

/** No lease lives longer, so one that claims to is of before a reboot, when the monotonic clock began anew. */
const LONGEST_LEASE_MS = 5 * 60_000

/** Connections to files that were replaced: kept, because collecting one closes it. */
const ABANDONED = new Set<unknown>()

type LeaseKey = { readonly session: SessionId } | { readonly shared: string }

/**
 * Sessions in one SQLite file: embedded, synchronous, for one machine. Versions, fences and leases are in the file, so a
 * second process on it (`traefik-bff sessions`, or another server) is safe.
 */
export function openSqlite(o: SqliteOptions): SessionBackend {
  const me = Buffer.from(o.random(9)).toString('base64url')
  const openFile = o.openFile ?? openSqliteFile
  let db = openFile(o.path)
  let sql = prepare(db)
  let file = watchFileOf(o.path)
  let stopSweeping = startSweeper(db, o.clock)
  const outage = tellOutages('sqlite', o.emit)
  const feed = createEndedFeed(db, me, () => lookAtFile())
  /** While another process holds the file locked, only the first call waits for it: each wait stops the whole process. */
  let waits = true
  const wait = (yes: boolean): void => {
    if (waits === yes || !db.isOpen) return
    waits = yes
    db.exec(`PRAGMA busy_timeout = ${yes ? LOCK_WAIT_MS : 0}`)
  }
  /** Why the file that is open is not the one that others find under its name; nothing of it is answered then. */
  let away: string | undefined

  /** Whether an outage of writes is over: a small write that found room does not say so. */
  const canWrite = (): boolean => {
    try {
      sql.probe.run()
      sql.dropProbe.run()
      return true
    } catch {
      return false
    }
  }
  const guard = <T>(kind: OutageKind, work: () => T): T => {
    try {
      if (!db.isOpen) throw new Error('the database is closed')
      if (away !== undefined) throw new Error(away)
      const result = work()
      if (kind === 'read' || outage.detail() === undefined || canWrite()) outage.over(kind)
      if (outage.detail() === undefined) wait(true)
      return result
    } catch (e) {
      if (isLocked(e)) wait(false)
      outage.begins(away === undefined ? kind : 'connection', e instanceof Error ? e.message : 'failed')
      throw new StoreUnavailable('SQLite failed', { cause: e })
    }
  }
  const lookAtFile = (): void => {
    if (!db.isOpen) return
    away = file.gone()
    if (away === undefined) return
    outage.begins('connection', away)
    if (!file.isThere()) return
    try {
      // Closing the old one would delete the log beside the new one, by its name.
      ABANDONED.add(db)
      stopSweeping()
      file.dropStaleLog()
      db = openFile(o.path)
      sql = prepare(db)
      file = watchFileOf(o.path)
      waits = true
      stopSweeping = startSweeper(db, o.clock)
      feed.reopened(db)
      away = undefined
      outage.over('connection')
    } catch (e) {
      away = e instanceof Error ? e.message : 'it cannot be opened'
    }
  }
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
    expressStore: async () => {
      const { SqliteExpressStore } = await import('./sqlite-express-store.ts')
      return new SqliteExpressStore({ sql: () => sql, guard, seal: o.seal })
    },
    open: async (id, s) => guard('write', () => transaction(db, () => insert(sql, id, s))),
    peek: (id) =>
      guard('read', () => {
        const row = sql.peek.get(id)
        return row === undefined
          ? undefined
          : { revision: Number(row['revision']), idleUntil: Number(row['idle']) as EpochMs }
      }),
    load: (id) => guard('read', () => read(sql, id)),
    endedReason: (id) => guard('read', () => sql.endedReason.get(id)?.['reason'] as EndReason | undefined),
    update: async (id, readVersion, state) =>
      guard('write', () => (write(sql.update, state, id, readVersion) ? 'done' : missing(id))),
    touch: async (id, idleUntil) => guard('write', () => (write(sql.touch, idleUntil, id) ? 'done' : 'gone')),
    putSlot: async (id, slot, value) =>
      guard('write', () =>
        transaction(db, () => {
          if (!write(sql.bump, id)) return 'gone'
          if (value === undefined) sql.dropSlot.run(id, slot)
          else sql.putSlot.run(id, slot, value)
          return 'done'
        }),
      ),
    rotate: async (id, slots, fence) =>
      guard('write', () =>
        transaction(db, () => {
          if (!write(sql.rotate, fence, id, fence)) return missing(id)
          for (const [slot, value] of Object.entries(slots)) sql.putSlot.run(id, slot, value)
          return 'done'
        }),
      ),
    end: async (ids, reason) => {
      const ended = guard('write', () =>
        transaction(db, () => ids.filter((id) => remove(sql, id, reason, me, o.clock))),
      )
      for (const id of ended) feed.tell(id, reason)
      return ended
    },
    find: async (index) => guard('read', () => sql.find.all(index).map((row) => String(row['id']) as SessionId)),
    list: async function* () {
      let after = ''
      for (;;) {
        const page = guard('read', () => sql.page.all(after))
        for (const row of page) yield String(row['id']) as SessionId
        const last = page.at(-1)
        if (last === undefined) return
        after = String(last['id'])
      }
    },
    readEpoch: () => guard('read', () => Number(sql.epoch.get()?.['value'] ?? 0) as EpochMs),
    raiseEpoch: async (at) => guard('write', () => Number(sql.raiseEpoch.get(at)?.['value'] ?? at) as EpochMs),
    onEpoch: feed.listenEpoch,
    once: async (key, ttlMs) =>
      guard('write', () => {
        const now = o.clock.wallMs()
        return write(sql.once, `once|${key}`, '1', now + ttlMs, now)
      }),
    forget: async (key) => guard('write', () => void sql.forget.run(`once|${key}`)),
    count: async (key, windowMs) =>
      guard('write', () => {
        const now = o.clock.wallMs()
        const row = sql.count.get(`count|${key}`, now + windowMs, now, now)
        return { count: Number(row?.['value'] ?? 1), resetMs: Math.max(0, Number(row?.['until'] ?? now) - now) }
      }),
    tryLease: async (key, owner, ttlMs) => guard('write', () => transaction(db, () => takeLease(key, owner, ttlMs))),
    renewLease: async (key, owner, ttlMs) =>
      guard('write', () => write(sql.renewLease, o.clock.monoMs() + ttlMs, leaseName(key), owner)),
    releaseLease: async (key, owner) => guard('write', () => void sql.releaseLease.run(leaseName(key), owner)),
    getShared: async (key) =>
      guard('read', () => sql.getShared.get(`kept|${key}`, o.clock.wallMs())?.['value'] as string | undefined),
    putShared: async (key, value, ttlMs) =>
      guard('write', () => void sql.putShared.run(`kept|${key}`, value, o.clock.wallMs() + ttlMs)),
    onEnded: feed.listen,
    health: async () => {
      lookAtFile()
      try {
        guard('read', () => sql.exists.get(''))
        // Reading goes on while the disk is full: whether writing is over nobody may ask for a while.
        if (outage.detail() !== undefined && canWrite()) outage.over('write')
        if (outage.detail() === undefined) wait(true)
        const detail = outage.detail()
        return detail === undefined ? { up: true, warnings: [] } : { up: false, detail, warnings: [] }
      } catch {
        return { up: false, detail: outage.detail() ?? 'failed', warnings: [] }
      }
    },
    close: async () => {
      stopSweeping()
      feed.close()
      if (db.isOpen) db.close()
    },
  }
}
