import type { Secret } from '../../config/types.ts'
import type {
  EndReason,
  Lease,
  Leases,
  LiveSession,
  NewSession,
  ServiceToken,
  SessionId,
  SessionState,
  SessionStore,
  TokenVault,
  Write,
} from '../../middleware/types.ts'

interface Entry {
  session: NewSession
  state: SessionState
  version: number
  idleUntil: LiveSession['idleUntil']
  tokens: Map<string, ServiceToken>
  refreshToken: Secret | undefined
  idToken: Secret | undefined
  refreshFence: number
  fence: number
}

/** The stores' contract in memory, for several brokers that share it as replicas do. Every write checks that the session still exists. */
export interface MemoryStores {
  readonly sessions: SessionStore
  readonly vault: TokenVault
  readonly leases: Leases
  open(id: SessionId, s: NewSession): void
  /** Called before every asynchronous store call: a test's chance to interleave or to fail. */
  before: (call: string) => Promise<void>
  /** Every (session, value) that was ever stored as refresh token. */
  readonly refreshTokensStored: string[]
}

export function createMemoryStores(now: () => number): MemoryStores {
  const entries = new Map<SessionId, Entry>()
  const listeners = new Set<(id: SessionId, reason: EndReason) => void>()
  const machine = new Map<string, ServiceToken>()
  const seen = new Set<string>()
  const locks = new Map<string, Promise<undefined>>()
  let fences = 0
  const stores: MemoryStores = {
    before: async () => undefined,
    refreshTokensStored: [],
    open: (id, s) => {
      const tokens = new Map(s.tokens.map((t) => [t.service, t]))
      entries.set(id, {
        session: s,
        state: s.state,
        version: 1,
        idleUntil: s.record.expiresAt,
        tokens,
        refreshToken: s.refreshToken,
        idToken: s.idToken,
        refreshFence: 0,
        fence: 0,
      })
    },
    sessions: undefined as never,
    vault: undefined as never,
    leases: undefined as never,
  }
  const live = (id: SessionId): LiveSession | undefined => {
    const e = entries.get(id)
    return e === undefined
      ? undefined
      : {
          id,
          record: e.session.record,
          state: e.state,
          version: e.version,
          idleUntil: e.idleUntil,
          tokens: new Map(e.tokens),
          hasRefreshToken: e.refreshToken !== undefined,
        }
  }
  const write = async (call: string, id: SessionId, f: (e: Entry) => Write): Promise<Write> => {
    await stores.before(call)
    const e = entries.get(id)
    return e === undefined ? 'gone' : f(e)
  }
  const sessions: SessionStore = {
    open: async (id, s) => stores.open(id, s),
    load: async (id) => {
      await stores.before('load')
      return live(id)
    },
    loadToEnd: live,
    revokeAll: async () => undefined,
    revokedBefore: () => 0 as never,
    ids: async function* () {
      yield* await Promise.resolve([...entries.keys()])
    },
    endedReason: () => undefined,
    update: (id, version, next) =>
      write('update', id, (e) => {
        if (e.version !== version) return 'changed'
        e.state = next
        e.version++
        return 'done'
      }),
    touch: (id, idleUntil) =>
      write('touch', id, (e) => {
        e.idleUntil = idleUntil
        return 'done'
      }),
    end: async (ids, reason) => {
      await stores.before('end')
      const there = ids.filter((id) => entries.delete(id))
      for (const id of there) for (const f of listeners) f(id, reason)
      return there
    },
    find: async () => [],
    list: async function* () {
      for (const id of entries.keys()) {
        const l = live(id)
        if (l !== undefined) yield await Promise.resolve(l)
      }
    },
    once: async (key) => seen.size !== seen.add(key).size,
    forget: async (key) => void seen.delete(key),
    note: async () => undefined,
    noted: async () => undefined,
    count: async () => ({ count: 1, resetMs: now() }),
    onGap: () => () => undefined,
    onEnded: (f) => {
      listeners.add(f)
      return () => void listeners.delete(f)
    },
    health: async () => ({ up: true, warnings: [] }),
    close: async () => undefined,
  }
  const vault: TokenVault = {
    refreshToken: async (id) => {
      await stores.before('refreshToken')
      const e = entries.get(id)
      return e?.refreshToken === undefined ? undefined : { token: e.refreshToken, fence: e.refreshFence }
    },
    idToken: async (id) => entries.get(id)?.idToken,
    keep: (id, token) =>
      write('keep', id, (e) => {
        e.tokens.set(token.service, token)
        return 'done'
      }),
    drop: (id, slot) =>
      write('drop', id, (e) => {
        e.tokens.delete(slot)
        return 'done'
      }),
    rotate: (id, next, fence) =>
      write('rotate', id, (e) => {
        if (fence < e.fence) return 'changed'
        if (next.refreshToken !== undefined) {
          e.refreshToken = next.refreshToken
          e.refreshFence = fence
          stores.refreshTokensStored.push(next.refreshToken.reveal())
        }
        if (next.idToken !== undefined) e.idToken = next.idToken
        for (const t of next.tokens) e.tokens.set(t.service, t)
        return 'done'
      }),
    machineToken: async (service) => machine.get(service),
    keepMachineToken: async (service, token) => void machine.set(service, token),
  }
  const acquire = async (key: string): Promise<Lease | undefined> => {
    await stores.before('acquire')
    const before = locks.get(key) ?? Promise.resolve(undefined)
    const { promise, resolve } = Promise.withResolvers<undefined>()
    locks.set(
      key,
      before.then(() => promise),
    )
    await before
    const fence = ++fences
    const e = entries.get(key as SessionId)
    if (e !== undefined) e.fence = fence
    return { fence, lost: new AbortController().signal, release: async () => resolve(undefined) }
  }
  const leases: Leases = { acquire: (id) => acquire(id), acquireShared: (key) => acquire(key) }
  return Object.assign(stores, { sessions, vault, leases })
}
