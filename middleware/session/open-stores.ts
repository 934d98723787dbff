import type { Store } from 'express-session'
import type { SessionSettings } from '../../config/types.ts'
import type { Clock, Emit, Leases, SessionRecord, SessionStore, TokenVault } from '../types.ts'
import type { RecordSeal, SessionBackend } from './backend.ts'
import { deriveKeys } from './keys.ts'
import { createLeases } from './leases.ts'
import { createSealer } from './seal.ts'
import { readRecord, writeRecord } from './serialize.ts'
import { createSessions } from './sessions.ts'
import { openRedis } from './stores/redis.ts'
import { openSqlite } from './stores/sqlite.ts'
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
  readonly expressStore: Store
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
  const seal: RecordSeal = {
    seal: (id, data) => {
      const { bff, cookie } = data as { bff?: SessionRecord; cookie?: object }
      if (bff === undefined) throw new Error('a session without a record')
      return sealer.seal(JSON.stringify({ cookie, bff: writeRecord(bff) }), 'record', id)
    },
    open: (id, sealed) => {
      const text = sealer.open(sealed, 'record', id)
      if (text === undefined) return undefined
      const { cookie, bff } = JSON.parse(text) as { cookie: object; bff: string }
      return { cookie, bff: readRecord(bff) }
    },
  }
  const backend = await openBackend(o, seal)
  const sessions = createSessions({
    backend,
    sealer,
    indexKeys: deriveKeys(o.settings.secrets, 'index'),
    openRecord: (id, sealed) => (seal.open(id, sealed) as { bff: SessionRecord } | undefined)?.bff,
    idleTimeoutMs: () => o.settings.idleTimeoutMs,
    emit: o.emit,
  })
  return {
    sessions,
    vault: createVault(backend, sealer, o.clock),
    leases: createLeases(backend, o.clock, o.random),
    expressStore: backend.expressStore,
    close: () => backend.close(),
  }
}

/** How long the start waits for Redis, so that the first request usually finds it; a Redis that is down holds nothing up. */
const FIRST_CONNECT_MS = 1000

async function openBackend(o: StoreOptions, seal: RecordSeal): Promise<SessionBackend> {
  const store = o.settings.store.reveal()
  const { clock, emit, random } = o
  if (store.startsWith('sqlite:')) return openSqlite({ path: store.slice('sqlite:'.length), clock, emit, random, seal })
  const redis = openRedis({
    url: store,
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
