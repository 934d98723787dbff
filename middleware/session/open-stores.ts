import type { Store } from 'express-session'
import { join, resolve } from 'node:path'
import type { SessionSettings } from '../../config/types.ts'
import type { Clock, Emit, Leases, SessionRecord, SessionStore, TokenVault } from '../types.ts'
import type { RecordSeal, SessionBackend } from './backend.ts'
import { deriveKeys } from './keys.ts'
import { createLeases } from './leases.ts'
import { createSealer } from './seal.ts'
import { createEpoch } from './epoch.ts'
import { openEpochFiles, type EpochPlaces } from './epoch-files.ts'
import { readRecord, Unreadable, writeRecord } from './serialize.ts'
import { createSessions } from './sessions.ts'
import { createVault } from './vault.ts'

declare module 'express-session' {
  interface SessionData {
    /** The whole of what we keep in express-session, written once. */
    bff: SessionRecord
  }
}

export interface StoreOptions {
  readonly settings: SessionSettings
  readonly clock: Clock
  readonly emit: Emit
  readonly random: (bytes: number) => Uint8Array
}

export interface Stores {
  readonly sessions: SessionStore
  readonly vault: TokenVault
  readonly leases: Leases
  readonly expressStore: () => Promise<Store>
  close(): Promise<void>
}

/**
 * Opens the session store that `session.store` names. A Redis that is down does not stop the start; a SQLite file that
 * cannot be opened does.
 *
 * @throws Error with a sentence for the operator.
 */
export async function openStores(o: StoreOptions): Promise<Stores> {
  const sealer = createSealer(deriveKeys(o.settings.secrets, 'vault v1'), o.random)
  const openSaved = (id: string, sealed: string): { cookie: object; bff: SessionRecord } | Unreadable | undefined => {
    const text = sealer.open(sealed, 'record', id)
    return text === undefined ? undefined : parseSaved(text)
  }
  const seal: RecordSeal = {
    seal: (id, data) => {
      const { bff, cookie } = data as { bff?: SessionRecord; cookie?: object }
      if (bff === undefined) throw new Error('a session without a record')
      return sealer.seal(JSON.stringify({ cookie, bff: writeRecord(bff) }), 'record', id)
    },
    open: (id, sealed) => {
      const saved = openSaved(id, sealed)
      return saved instanceof Unreadable ? undefined : saved
    },
  }
  const backend = await openBackend(o, seal)
  const epoch = createEpoch(backend, openEpochFiles(epochPlaces(o.settings), o.emit))
  const sessions = createSessions({
    backend,
    sealer,
    indexKeys: deriveKeys(o.settings.secrets, 'index'),
    openRecord: (id, sealed) => {
      const saved = openSaved(id, sealed)
      return saved instanceof Unreadable ? saved : saved?.bff
    },
    epoch,
    idleTimeoutMs: () => o.settings.idleTimeoutMs,
    emit: o.emit,
  })
  return {
    sessions,
    vault: createVault(backend, sealer, o.clock),
    leases: createLeases(backend, o.clock, o.random),
    expressStore: backend.expressStore,
    close: () => sessions.close(),
  }
}

/** How long the start waits for Redis, so that the first request usually finds it; a Redis that is down holds nothing up. */
const FIRST_CONNECT_MS = 1000

async function openBackend(o: StoreOptions, seal: RecordSeal): Promise<SessionBackend> {
  const store = o.settings.store.reveal()
  const { clock, emit, random } = o
  // Each is loaded where it is used: neither needs what the other is made of.
  if (store.startsWith('sqlite:')) {
    const { openSqlite } = await import('./stores/sqlite.ts')
    return openSqlite({ path: store.slice('sqlite:'.length), clock, emit, random, seal })
  }
  const { openRedis } = await import('./stores/redis.ts')
  const redis = openRedis({
    url: store,
    tls: o.settings.storeTls,
    keyPrefix: o.settings.keyPrefix,
    stallTimeoutMs: o.settings.stallTimeoutMs,
    clock,
    emit,
    seal,
  })
  const connected = new AbortController()
  await Promise.race([redis.ready.then(() => connected.abort()), clock.sleep(FIRST_CONNECT_MS, connected.signal)])
  return redis.backend
}

/**
 * Beside the database, where that is a file, with a copy in the state directory, in case the whole folder is restored; else in
 * the state directory. The name there is one that only this secret and store have.
 */
function epochPlaces(s: SessionSettings): EpochPlaces {
  const store = s.store.reveal()
  if (store === 'sqlite::memory:') return { copies: [], older: [] }
  const file = store.startsWith('sqlite:') ? store.slice('sqlite:'.length) : undefined
  const [first, ...older] = deriveKeys(
    s.secrets,
    `revoked before|${file === undefined ? s.keyPrefix : resolve(file)}`,
  ).map((key) => join(s.stateDir, `${key.subarray(0, 8).toString('hex')}.revoked-before`))
  const copies = first === undefined ? [] : [first]
  return file === undefined
    ? { ...(first === undefined ? {} : { main: first }), copies: [], older }
    : { main: `${file}.revoked-before`, copies, older }
}

/** express-session's part and ours, as one sealed text. */
function parseSaved(text: string): { cookie: object; bff: SessionRecord } | Unreadable {
  let saved: { cookie?: unknown; bff?: unknown } | null
  try {
    saved = JSON.parse(text) as typeof saved
  } catch {
    return new Unreadable('malformed')
  }
  const { cookie, bff } = saved ?? {}
  if (typeof cookie !== 'object' || cookie === null || typeof bff !== 'string') return new Unreadable('malformed')
  const record = readRecord(bff)
  return record instanceof Unreadable ? record : { cookie, bff: record }
}
