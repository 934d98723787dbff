import { createHmac } from 'node:crypto'
import type {
  EndReason,
  EpochMs,
  Handle,
  LiveSession,
  Maybe,
  NewSession,
  SessionId,
  SessionRecord,
  SessionStore,
} from '../types.ts'
import { BoundedMap } from '../bounded-map.ts'
import type { Emit, ServiceToken } from '../types.ts'
import { handleOf } from './handle.ts'
import { ID_TOKEN, REFRESH_TOKEN, type SessionBackend, type StoredSession } from './backend.ts'
import { createParsedCache, MOST_KEPT_BYTES, weightOf } from './parsed-cache.ts'
import type { Sealer } from './seal.ts'
import type { Epoch } from './epoch.ts'
import { readState, readToken, Unreadable, writeState, writeToken } from './serialize.ts'

export interface SessionsOptions {
  readonly backend: SessionBackend
  readonly sealer: Sealer
  readonly indexKeys: readonly Buffer[]
  readonly openRecord: (id: string, sealed: string) => SessionRecord | Unreadable | undefined
  readonly epoch: Epoch
  readonly idleTimeoutMs: () => number
  readonly emit: Emit
}

/** Sessions over a backend: sealing, parsing, and a bounded cache of what was parsed, good while the revision stands. */
export function createSessions(o: SessionsOptions): SessionStore {
  const kept = createParsedCache(MOST_KEPT_BYTES)
  const tellOnce = createTellOnce(o.emit)
  const keep = (id: SessionId, stored: StoredSession): LiveSession | undefined => {
    const have = kept.get(id)
    if (have?.revision === stored.revision && have.session.idleUntil === stored.idleUntil) return have.session
    const session = parse(id, stored, o, tellOnce)
    if (session === undefined) return undefined
    kept.set(id, { revision: stored.revision, session, bytes: weightOf(stored) })
    return session
  }
  const loadToEnd = (id: SessionId): Maybe<LiveSession | undefined> => {
    const seen = o.backend.peek(id)
    if (seen === undefined) {
      kept.delete(id)
      return undefined
    }
    const have = kept.get(id)
    if (seen !== 'unknown' && have?.revision === seen.revision) {
      if (have.session.idleUntil === seen.idleUntil) return have.session
      const session = { ...have.session, idleUntil: seen.idleUntil }
      kept.set(id, { ...have, session })
      return session
    }
    const stored = o.backend.load(id)
    if (stored instanceof Promise) return stored.then((s) => (s === undefined ? undefined : keep(id, s)))
    return stored === undefined ? undefined : keep(id, stored)
  }
  const live = (s: LiveSession | undefined): LiveSession | undefined =>
    s === undefined || s.record.createdAt <= o.epoch.revokedBefore() ? undefined : s
  const load = (id: SessionId): Maybe<LiveSession | undefined> => {
    const first = o.epoch.settle()
    // Asked again after, since the connection may be another by then.
    if (first !== undefined) return first.then(() => load(id))
    const found = loadToEnd(id)
    return found instanceof Promise ? found.then(live) : live(found)
  }
  return {
    open: (id, s) => o.backend.open(id, toStored(id, s, o)),
    load,
    loadToEnd,
    revokeAll: (at) => o.epoch.raise(at),
    revokedBefore: () => o.epoch.revokedBefore(),
    ids: () => o.backend.list(),
    endedReason: (id) => o.backend.endedReason(id),
    update: (id, readVersion, next) => o.backend.update(id, readVersion, o.sealer.seal(writeState(next), 'state', id)),
    touch: (id, idleUntil) => o.backend.touch(id, idleUntil),
    end: async (ids, reason) => {
      const ended = await o.backend.end(ids, reason)
      for (const id of ids) kept.delete(id)
      return ended
    },
    find: async (by) => {
      const keys =
        'handle' in by
          ? indexesOf(['handle', by.handle], o)
          : 'sid' in by
            ? indexesOf(['sid', by.issuer, by.sid], o)
            : indexesOf(['sub', by.issuer, by.sub], o)
      const ids = new Set((await Promise.all(keys.map((k) => o.backend.find(k)))).flat())
      const found = await Promise.all([...ids].map(async (id) => load(id)))
      return found.filter((s) => s !== undefined)
    },
    list: async function* () {
      for await (const id of o.backend.list()) {
        const session = await load(id)
        if (session !== undefined) yield session
      }
    },
    once: (key, ttlMs) => o.backend.once(blind(key, o), ttlMs),
    forget: (key) => o.backend.forget(blind(key, o)),
    note: (key, text, ttlMs) => o.backend.putShared(`note|${blind(key, o)}`, text, ttlMs),
    noted: (key) => o.backend.getShared(`note|${blind(key, o)}`),
    count: (key, windowMs) => o.backend.count(blind(key, o), windowMs),
    onEnded: (f: (id: SessionId, reason: EndReason) => void) => o.backend.onEnded(f),
    onGap: (f) => o.backend.onGap?.(f) ?? (() => undefined),
    health: () => o.backend.health(),
    close: () => {
      o.epoch.close()
      return o.backend.close()
    },
  }
}

function toStored(id: SessionId, s: NewSession, o: SessionsOptions): Parameters<SessionBackend['open']>[1] {
  const slots: Record<string, string> = {}
  const put = (slot: string, text: string): void => {
    slots[slot] = o.sealer.seal(text, 'slot', id, slot)
  }
  if (s.refreshToken !== undefined) put(REFRESH_TOKEN, s.refreshToken.reveal())
  if (s.idToken !== undefined) put(ID_TOKEN, s.idToken.reveal())
  for (const token of s.tokens) put(token.service, writeToken(token))
  const { issuer, sub, sid, handle, createdAt, expiresAt } = s.record
  const at = [['handle', handle], ['sub', issuer, sub], ...(sid === undefined ? [] : [['sid', issuer, sid]])]
  return {
    state: o.sealer.seal(writeState(s.state), 'state', id),
    idleUntil: Math.min(createdAt + o.idleTimeoutMs(), expiresAt) as EpochMs,
    expiresAt,
    slots,
    // Written under the newest key; looked for under all.
    indexes: at.flatMap((parts) => indexesOf(parts, o).slice(0, 1)),
  }
}

/** What cannot be read is told once each, not with every request. */
type TellOnce = (id: SessionId, what: string, why: string, slot?: string) => void

const MOST_TOLD = 10_000

function createTellOnce(emit: Emit): TellOnce {
  const told = new BoundedMap<string, true>(MOST_TOLD)
  return (id, what, why, slot) => {
    const key = `${id} ${slot ?? what} ${why}`
    if (told.has(key)) return
    told.set(key, true)
    emit({
      name: 'sealed_unreadable',
      fields: { what, why, session: handleOf(id), ...(slot === undefined ? {} : { slot }) },
    })
  }
}

/** Changed, moved, or under a key that is no longer listed: nobody's. */
const NOT_OURS = new Unreadable('seal')

function parse(id: SessionId, stored: StoredSession, o: SessionsOptions, tell: TellOnce): LiveSession | undefined {
  const record = o.openRecord(id, stored.record) ?? NOT_OURS
  const opened = o.sealer.open(stored.state, 'state', id)
  const state = opened === undefined ? NOT_OURS : readState(opened)
  if (record instanceof Unreadable || state instanceof Unreadable) {
    if (record instanceof Unreadable) tell(id, 'record', record.why)
    if (state instanceof Unreadable) tell(id, 'state', state.why)
    return undefined
  }
  const tokens = new Map<string, ServiceToken>()
  for (const [slot, sealed] of Object.entries(stored.slots)) {
    if (slot === REFRESH_TOKEN || slot === ID_TOKEN) continue
    const text = o.sealer.open(sealed, 'slot', id, slot)
    const token = text === undefined ? NOT_OURS : readToken(text)
    if (!(token instanceof Unreadable)) {
      tokens.set(slot, token)
      continue
    }
    tell(id, 'token', token.why, slot)
    // A release too far away wrote it: to fetch another in its place would destroy it.
    if (token !== NOT_OURS) return undefined
  }
  return {
    id,
    record,
    state,
    version: stored.version,
    idleUntil: stored.idleUntil,
    tokens,
    hasRefreshToken: stored.slots[REFRESH_TOKEN] !== undefined,
  }
}

/** Keyed hashes: who is signed in cannot be read off a stolen database, nor guessed by hashing names. */
function indexesOf(parts: readonly (string | Handle)[], o: SessionsOptions): string[] {
  return o.indexKeys.map((key) => createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64url'))
}

function blind(key: string, o: SessionsOptions): string {
  return indexesOf(['key', key], o)[0] ?? key
}
