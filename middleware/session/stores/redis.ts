import type { Store } from 'express-session'
import type { StoreTls } from '../../../config/types.ts'
import {
  StoreUnavailable,
  type Clock,
  type Emit,
  type EndReason,
  type EpochMs,
  type SessionId,
  type Write,
} from '../../types.ts'
import type { LeaseGrant, RecordSeal, SessionBackend, StoredSession } from '../backend.ts'
import { createTrackedCache } from './redis-cache.ts'
import { openLink, type RedisLink } from './redis-client.ts'
import { createEndings } from './redis-endings.ts'
import { watchOutages, type Call } from './redis-outage.ts'
import * as lua from './redis-scripts.ts'

export interface RedisOptions {
  readonly url: string
  readonly tls: StoreTls | undefined
  readonly keyPrefix: string
  readonly stallTimeoutMs: number
  readonly clock: Clock
  readonly emit: Emit
  readonly seal: RecordSeal
}

/** Why a session ended is told for this long after its expiry. */
const TOMBSTONE_MS = 60 * 60_000
const CAME_BACK = 'a failover brought back a session that had ended; it was ended again'
const WRITES: readonly Write[] = ['gone', 'changed', 'done']

/** In an id's place on the channel, which no id can be: a release that does not know it finds no such session. */
const EPOCH_MARK = '*'

type LeaseKey = { readonly session: SessionId } | { readonly shared: string }

/** How long after it heard of an end a replica sees to it that a failover has not brought the session back. */
const FAILOVER_MS = 60_000
/** The policy may be changed while we run. */
const POLICY_EVERY_MS = 60_000
/** Where ends of sessions are not heard, open streams are judged anew this often. */
const UNHEARD_GAP_MS = 5000

/** Sessions in Redis or Valkey, for any number of replicas. All keys of a session carry one hash tag, so they share a slot. */
export function openRedis(o: RedisOptions): { readonly backend: SessionBackend; readonly ready: Promise<void> } {
  const names = keyNames(o.keyPrefix)
  const cache = createTrackedCache(() => o.clock.monoMs())
  const endings = createEndings(() => o.clock.monoMs())
  const warnings = tellWarnings(o.emit)
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> => o.clock.sleep(ms, signal)
  const stop = new AbortController()
  const stopped = (): boolean => stop.signal.aborted
  const gaps = new Set<() => void>()
  const epochListeners = new Set<(at: EpochMs | 'unknown') => void>()
  const tellEpoch = (at: EpochMs | 'unknown'): void => {
    for (const f of [...epochListeners]) f(at)
  }
  const tellGap = (): void => {
    tellEpoch('unknown')
    for (const f of [...gaps]) f()
  }
  // A failover may lose writes, and count to the same revision again: what was parsed before a loss is never taken for it.
  let history = 1
  const forget = (): void => {
    history = (history % 2 ** 20) + 1
    cache.clear()
  }
  const connected = Promise.withResolvers<undefined>()
  const outage = watchOutages({
    stallTimeoutMs: o.stallTimeoutMs,
    emit: o.emit,
    probe: (kind) => link.probe(kind),
    sleep,
  })
  const link = openLink({
    url: o.url,
    tls: o.tls,
    stallTimeoutMs: o.stallTimeoutMs,
    channel: names.channel,
    probeKey: names.probe,
    sleep,
    events: {
      ready: () => {
        forget()
        connected.resolve(undefined)
        outage.ready()
        tellEpoch('unknown')
        void readPolicy()
      },
      lost: (detail) => {
        forget()
        outage.lost(detail)
      },
      gap: () => {
        tellGap()
        void endAgain()
      },
      invalidated: (key) => {
        const id = key === null ? undefined : names.idOf(key)
        if (key === null) {
          // FLUSHALL: everything has ended, and nobody says so by name.
          forget()
          tellGap()
        } else if (id !== undefined) cache.drop(id)
      },
      uncovered: forget,
      message: (text) => {
        const cut = text.indexOf('|')
        const [what, rest] = [text.slice(0, cut), text.slice(cut + 1)]
        if (what === EPOCH_MARK) tellEpoch(Number(rest) as EpochMs)
        else if (cut > 0) heard(what as SessionId, rest as EndReason)
      },
      warn: warnings.set,
    },
  })
  const { call } = outage
  /** Each end is told once, by whichever of our connections it comes. */
  const heard = (id: SessionId, reason: EndReason): void => {
    cache.drop(id)
    endings.add(id, reason)
  }
  const readPolicy = async (): Promise<void> => {
    const bad = (await link.policies().catch(() => [])).filter((p) => p !== 'noeviction')
    const detail = `maxmemory-policy is ${bad.join(', ')}: under pressure it drops sessions; use noeviction`
    warnings.set('policy', bad.length === 0 ? undefined : detail)
  }
  /** Replication is asynchronous: a replica that was promoted may not have heard of the last ends. */
  const endAgain = async (): Promise<void> => {
    for (const [id, reason] of endings.since(FAILOVER_MS)) {
      const was = await runEnd(id, reason).catch(() => undefined)
      if (typeof was === 'string') o.emit({ name: 'store_warning', fields: { detail: CAME_BACK } })
    }
  }
  const every = async (ms: number, work: () => void): Promise<void> => {
    while (!stopped()) {
      await sleep(ms, stop.signal)
      if (!stopped()) work()
    }
  }
  void every(POLICY_EVERY_MS, () => void readPolicy())
  void every(UNHEARD_GAP_MS, () => {
    if (gaps.size > 0 && outage.detail() === undefined && !link.subscribed()) tellGap()
  })
  const run = (script: string, keys: readonly string[], ...args: readonly (string | number)[]): Promise<unknown> =>
    call('write', () => link.eval(script, keys, args.map(String)))
  const write = async (...p: Parameters<typeof run>): Promise<Write> => WRITES[Number(await run(...p))] ?? 'gone'
  const pair = (id: SessionId): string[] => [names.record(id), names.state(id)]
  const read = async (id: SessionId): Promise<StoredSession | undefined> => {
    const began = history
    const [record, state] = await call('read', () =>
      Promise.all([link.get(names.record(id)), link.hGetAll(names.state(id))]),
    )
    return record === null || state['v'] === undefined ? undefined : toStored(record, state, began)
  }
  const leaseKeys = (key: LeaseKey): { readonly lease: string; readonly all: string[] } => {
    if ('shared' in key)
      return {
        lease: names.shared('lease', key.shared),
        all: [names.shared('lease', key.shared), names.shared('fence', key.shared)],
      }
    return {
      lease: names.lease(key.session),
      all: [...pair(key.session), names.fence(key.session), names.lease(key.session)],
    }
  }
  const runEnd = (id: SessionId, reason: EndReason): Promise<unknown> =>
    run(lua.END, [...pair(id), names.fence(id), names.lease(id), names.ended(id)], reason, TOMBSTONE_MS)
  const backend: SessionBackend = {
    expressStore: () => expressStore(link, call, names, o.seal),
    open: async (id, s) => {
      const fields = {
        v: '1',
        r: '1',
        s: s.state,
        i: String(s.idleUntil),
        x: String(s.expiresAt + TOMBSTONE_MS),
        f: '0',
        ix: JSON.stringify(s.indexes),
        ...prefixed(s.slots),
      }
      await run(lua.OPEN, pair(id), s.expiresAt + TOMBSTONE_MS, ...Object.entries(fields).flat())
      await Promise.all(
        s.indexes.map((index) => run(lua.INDEX, [names.shared('index', index)], id, s.expiresAt + TOMBSTONE_MS)),
      )
    },
    peek: (id) => {
      if (endings.reason(id) !== undefined) return undefined
      return (link.tracked() ? cache.get(id) : undefined) ?? 'unknown'
    },
    load: (id) => (endings.reason(id) === undefined ? cache.read(id, () => read(id), link.tracked) : undefined),
    endedReason: async (id) =>
      endings.reason(id) ??
      (((await call('read', () => link.get(names.ended(id)))) ?? undefined) as EndReason | undefined),
    update: (id, readVersion, state) => write(lua.UPDATE, pair(id), readVersion, state),
    touch: (id, idleUntil) => write(lua.TOUCH, pair(id), idleUntil),
    putSlot: (id, slot, value) => write(lua.PUT_SLOT, pair(id), `t:${slot}`, ...(value === undefined ? [] : [value])),
    rotate: (id, slots, fence) =>
      write(lua.ROTATE, [...pair(id), names.fence(id)], fence, ...Object.entries(prefixed(slots)).flat()),
    end: async (ids, reason) => {
      const ended: SessionId[] = []
      for (const id of ids) {
        const indexes = await runEnd(id, reason)
        cache.drop(id)
        if (indexes === null || indexes === false) continue
        ended.push(id)
        endings.add(id, reason)
        await call('write', () => link.publish(names.channel, `${id}|${reason}`)).catch(() => undefined)
        for (const index of parseIndexes(indexes))
          await call('write', () => link.sRem(names.shared('index', index), id)).catch(() => undefined)
      }
      return ended
    },
    find: async (index) => (await call('read', () => link.sMembers(names.shared('index', index)))) as SessionId[],
    list: async function* () {
      const seen = new Set<string>()
      for await (const keys of link.scan(`${globQuoted(names.record('' as SessionId))}*`)) {
        for (const key of keys) {
          // SCAN may show a key twice (https://redis.io/commands/scan, "guarantees").
          if (seen.has(key)) continue
          seen.add(key)
          yield key.slice(names.record('' as SessionId).length) as SessionId
        }
      }
    },
    readEpoch: async () => Number((await call('read', () => link.get(names.epoch))) ?? 0) as EpochMs,
    raiseEpoch: async (at) => {
      const now = Number(await run(lua.RAISE, [names.epoch], at)) as EpochMs
      // A replica that is not told asks by itself soon.
      await call('write', () => link.publish(names.channel, `${EPOCH_MARK}|${now}`)).catch(() => undefined)
      return now
    },
    onEpoch: (f) => {
      epochListeners.add(f)
      return () => epochListeners.delete(f)
    },
    once: (key, ttlMs) => call('write', () => link.setNew(names.shared('once', key), '1', ttlMs)),
    forget: async (key) => {
      await call('write', () => link.del(names.shared('once', key)))
    },
    count: async (key, windowMs) => {
      const [count, left] = (await run(lua.COUNT, [names.shared('count', key)], windowMs)) as [number, number]
      return { count, resetMs: Math.max(0, left) }
    },
    tryLease: async (key, owner, ttlMs): Promise<LeaseGrant | undefined | 'gone'> => {
      const fence = Number(
        await run('session' in key ? lua.LEASE : lua.SHARED_LEASE, leaseKeys(key).all, owner, Math.ceil(ttlMs)),
      )
      return fence === -1 ? 'gone' : fence === 0 ? undefined : { owner, fence }
    },
    renewLease: async (key, owner, ttlMs) =>
      Number(await run(lua.RENEW, [leaseKeys(key).lease], owner, Math.ceil(ttlMs))) === 1,
    releaseLease: async (key, owner) => {
      await run(lua.RELEASE, [leaseKeys(key).lease], owner)
    },
    getShared: async (key) => (await call('read', () => link.get(names.shared('kept', key)))) ?? undefined,
    putShared: async (key, value, ttlMs) => {
      await call('write', () => link.setFor(names.shared('kept', key), value, Math.ceil(ttlMs)))
    },
    onEnded: endings.listen,
    onGap: (f) => {
      gaps.add(f)
      return () => gaps.delete(f)
    },
    health: async () => {
      const down = outage.detail()
      if (down !== undefined) return { up: false, detail: down, warnings: warnings.all() }
      return call('read', () => link.probe('read')).then(
        () => ({ up: true, warnings: warnings.all() }),
        () => ({ up: false, detail: outage.detail() ?? 'no answer', warnings: warnings.all() }),
      )
    },
    close: async () => {
      stop.abort()
      outage.close()
      gaps.clear()
      epochListeners.clear()
      endings.close()
      link.close()
    },
  }
  return { backend, ready: connected.promise }
}

/** connect-redis writes the record; its commands go through our guard, which seals, and refuses a session that has ended. */
async function expressStore(link: RedisLink, call: Call, names: KeyNames, seal: RecordSeal): Promise<Store> {
  const { RedisStore } = await import('connect-redis')
  const idOf = (key: string): SessionId => key.slice(names.record('' as SessionId).length) as SessionId
  const client = {
    get: async (key: string) => {
      const sealed = await call('read', () => link.get(key))
      const data = sealed === null ? undefined : seal.open(idOf(key), sealed)
      return data === undefined ? null : JSON.stringify(data)
    },
    set: async (key: string, value: string) => {
      const id = idOf(key)
      const sealed = seal.seal(id, JSON.parse(value) as object)
      const done = await call('write', () => link.eval(lua.SAVE_RECORD, [key, names.state(id)], [sealed]))
      if (Number(done) !== 1) throw new StoreUnavailable('the session ended before its record was saved')
    },
    // Sessions end through SessionStore.end, which tells the other replicas; express-session alone ends none.
    del: () => Promise.resolve(0),
    expire: () => Promise.resolve(0),
  }
  return new RedisStore({ client, prefix: names.record('' as SessionId), disableTouch: true })
}

type KeyNames = ReturnType<typeof keyNames>

function keyNames(prefix: string) {
  const record = (id: SessionId): string => `${prefix}sess:${id}`
  const tagged = (kind: string, id: SessionId): string => `${prefix}${kind}:{${record(id)}}`
  return {
    record,
    state: (id: SessionId) => tagged('state', id),
    fence: (id: SessionId) => tagged('fence', id),
    lease: (id: SessionId) => tagged('lease', id),
    ended: (id: SessionId) => tagged('ended', id),
    // Lease and fence of one shared thing need one slot too.
    shared: (kind: string, key: string) => `${prefix}${kind}:{${key}}`,
    probe: (n: number, what: 'string' | 'hash') => `${prefix}probe-${what}:{${n}}`,
    channel: `${prefix}ended`,
    epoch: `${prefix}revoked_before`,
    idOf: (key: string): SessionId | undefined => {
      const plain = key.startsWith(`${prefix}sess:`) ? key : /\{(.*)\}$/.exec(key)?.[1]
      return plain?.startsWith(`${prefix}sess:`) === true ? (plain.slice(prefix.length + 5) as SessionId) : undefined
    },
  }
}

/** A prefix may hold what a pattern means otherwise. */
function globQuoted(text: string): string {
  return text.replace(/[\\*?[\]^]/g, '\\$&')
}

function prefixed(slots: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(slots).map(([slot, value]) => [`t:${slot}`, value]))
}

function toStored(record: string, h: Record<string, string>, history: number): StoredSession {
  const slots: Record<string, string> = {}
  for (const [field, value] of Object.entries(h)) if (field.startsWith('t:')) slots[field.slice(2)] = value
  return {
    record,
    version: Number(h['v']),
    state: h['s'] ?? '',
    idleUntil: Number(h['i']) as EpochMs,
    slots,
    fence: Number(h['f']),
    revision: history * 2 ** 32 + Number(h['r']),
  }
}

function parseIndexes(text: unknown): string[] {
  try {
    return typeof text === 'string' && text !== '' ? (JSON.parse(text) as string[]) : []
  } catch {
    // They run out with the session's time.
    return []
  }
}

/** What the operator should mend, by topic; each is said once, and again when it changes. */
function tellWarnings(emit: Emit): {
  readonly set: (topic: string, detail: string | undefined) => void
  all(): readonly string[]
} {
  const open = new Map<string, string>()
  return {
    set: (topic, detail) => {
      if (open.get(topic) === detail) return
      if (detail === undefined) open.delete(topic)
      else {
        open.set(topic, detail)
        emit({ name: 'store_warning', fields: { detail } })
      }
    },
    all: () => [...open.values()],
  }
}
