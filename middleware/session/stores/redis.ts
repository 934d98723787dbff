import { RedisStore } from 'connect-redis'
import type { Store } from 'express-session'
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
import { tellOutages, type Outage } from './outages.ts'
import { openLink, type RedisLink } from './redis-client.ts'
import * as lua from './redis-scripts.ts'

export interface RedisOptions {
  readonly url: string
  readonly keyPrefix: string
  readonly stallTimeoutMs: number
  readonly clock: Clock
  readonly emit: Emit
  readonly seal: RecordSeal
}

/** Why a session ended is told for this long after its expiry. */
const TOMBSTONE_MS = 60 * 60_000
const WRITES: readonly Write[] = ['gone', 'changed', 'done']

/** In an id's place on the channel, which no id can be: a release that does not know it finds no such session. */
const EPOCH_MARK = '*'

type LeaseKey = { readonly session: SessionId } | { readonly shared: string }

/** Sessions in Redis or Valkey, for any number of replicas. All keys of a session carry one hash tag, so they share a slot. */
export function openRedis(o: RedisOptions): { readonly backend: SessionBackend; readonly ready: Promise<void> } {
  const names = keyNames(o.keyPrefix)
  const cache = createTrackedCache(() => o.clock.monoMs())
  const outage = tellOutages('redis', o.emit)
  const listeners = new Set<(id: SessionId, reason: EndReason) => void>()
  const epochListeners = new Set<(at: EpochMs | 'unknown') => void>()
  let policyWarning: string | undefined
  const connected = Promise.withResolvers<undefined>()
  const link = openLink({
    url: o.url,
    stallTimeoutMs: o.stallTimeoutMs,
    events: {
      ready: () => {
        cache.clear()
        connected.resolve(undefined)
        outage.over('connection')
        for (const f of [...epochListeners]) f('unknown')
        void readPolicy().then((w) => {
          if (w !== undefined && w !== policyWarning) o.emit({ name: 'store_warning', fields: { detail: w } })
          policyWarning = w
        })
      },
      lost: (detail) => {
        cache.clear()
        outage.begins('connection', detail)
      },
      invalidated: (key) => {
        const id = key === null ? undefined : names.idOf(key)
        if (key === null) cache.clear()
        else if (id !== undefined) cache.drop(id)
      },
    },
  })
  const call = withDeadline(o, outage)
  const readPolicy = async (): Promise<string | undefined> => {
    const policy = await link.configGet('maxmemory-policy').catch(() => undefined)
    return policy === undefined || policy === 'noeviction'
      ? undefined
      : `maxmemory-policy is ${policy}: under pressure it drops sessions; use noeviction`
  }
  const run = (script: string, keys: readonly string[], ...args: readonly (string | number)[]): Promise<unknown> =>
    call('write', () => link.eval(script, keys, args.map(String)))
  const write = async (...p: Parameters<typeof run>): Promise<Write> => WRITES[Number(await run(...p))] ?? 'gone'
  const pair = (id: SessionId): string[] => [names.record(id), names.state(id)]
  const read = async (id: SessionId): Promise<StoredSession | undefined> => {
    const [record, state] = await call('read', () =>
      Promise.all([link.get(names.record(id)), link.hGetAll(names.state(id))]),
    )
    return record === null || state['v'] === undefined ? undefined : toStored(record, state)
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
  let subscribed: Promise<void> | undefined
  const listen = (): void => {
    subscribed ??= subscribe(link, names.channel, { ended: listeners, epoch: epochListeners }, () => {
      subscribed = undefined
    })
  }
  const backend: SessionBackend = {
    expressStore: expressStore(link, call, names, o.seal),
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
      const have = link.tracked() ? cache.get(id) : undefined
      return have === undefined ? 'unknown' : { revision: have.revision, idleUntil: have.idleUntil }
    },
    load: (id) => {
      const have = link.tracked() ? cache.get(id) : undefined
      return have ?? cache.read(id, () => read(id), link.tracked)
    },
    endedReason: async (id) =>
      ((await call('read', () => link.get(names.ended(id)))) ?? undefined) as EndReason | undefined,
    update: (id, readVersion, state) => write(lua.UPDATE, pair(id), readVersion, state),
    touch: (id, idleUntil) => write(lua.TOUCH, pair(id), idleUntil),
    putSlot: (id, slot, value) => write(lua.PUT_SLOT, pair(id), `t:${slot}`, ...(value === undefined ? [] : [value])),
    rotate: (id, slots, fence) =>
      write(lua.ROTATE, [...pair(id), names.fence(id)], fence, ...Object.entries(prefixed(slots)).flat()),
    end: async (ids, reason) => {
      const ended: SessionId[] = []
      for (const id of ids) {
        const indexes = await run(
          lua.END,
          [...pair(id), names.fence(id), names.lease(id), names.ended(id)],
          reason,
          TOMBSTONE_MS,
        )
        cache.drop(id)
        if (indexes === null || indexes === false) continue
        ended.push(id)
        for (const f of [...listeners]) f(id, reason)
        await call('write', () => link.publish(names.channel, `${id}|${reason}`)).catch(() => undefined)
        for (const index of parseIndexes(indexes))
          await call('write', () => link.sRem(names.shared('index', index), id)).catch(() => undefined)
      }
      return ended
    },
    find: async (index) => (await call('read', () => link.sMembers(names.shared('index', index)))) as SessionId[],
    list: async function* () {
      const seen = new Set<string>()
      for await (const keys of link.scan(`${names.record('' as SessionId)}*`)) {
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
      listen()
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
    onEnded: (f) => {
      listeners.add(f)
      listen()
      return () => listeners.delete(f)
    },
    health: async () => {
      const warnings = policyWarning === undefined ? [] : [policyWarning]
      try {
        await call('read', () => link.ping())
        // A full or read-only server answers a ping: whether writing is over nobody may ask for a while.
        if (outage.detail() !== undefined)
          await call('write', () => link.setFor(names.shared('kept', 'probe'), '1', 1000))
        return { up: true, warnings }
      } catch {
        return { up: false, detail: outage.detail() ?? 'no answer', warnings }
      }
    },
    close: async () => {
      listeners.clear()
      epochListeners.clear()
      link.close()
    },
  }
  return { backend, ready: connected.promise }
}

/** connect-redis writes the record; its commands go through our guard, which seals, and refuses a session that has ended. */
function expressStore(link: RedisLink, call: Call, names: KeyNames, seal: RecordSeal): Store {
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
    channel: `${prefix}ended`,
    epoch: `${prefix}revoked_before`,
    idOf: (key: string): SessionId | undefined => {
      const plain = key.startsWith(`${prefix}sess:`) ? key : /\{(.*)\}$/.exec(key)?.[1]
      return plain?.startsWith(`${prefix}sess:`) === true ? (plain.slice(prefix.length + 5) as SessionId) : undefined
    },
  }
}

function prefixed(slots: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(slots).map(([slot, value]) => [`t:${slot}`, value]))
}

function toStored(record: string, h: Record<string, string>): StoredSession {
  const slots: Record<string, string> = {}
  for (const [field, value] of Object.entries(h)) if (field.startsWith('t:')) slots[field.slice(2)] = value
  return {
    record,
    version: Number(h['v']),
    state: h['s'] ?? '',
    idleUntil: Number(h['i']) as EpochMs,
    slots,
    fence: Number(h['f']),
    revision: Number(h['r']),
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

async function subscribe(
  link: RedisLink,
  channel: string,
  to: {
    readonly ended: ReadonlySet<(id: SessionId, reason: EndReason) => void>
    readonly epoch: ReadonlySet<(at: EpochMs) => void>
  },
  failed: () => void,
): Promise<void> {
  try {
    await link.subscribe(channel, (message) => {
      const cut = message.indexOf('|')
      const [what, rest] = [message.slice(0, cut), message.slice(cut + 1)]
      if (what === EPOCH_MARK) for (const f of [...to.epoch]) f(Number(rest) as EpochMs)
      else for (const f of [...to.ended]) f(what as SessionId, rest as EndReason)
    })
  } catch {
    failed()
  }
}

type Call = <T>(kind: 'read' | 'write', work: () => Promise<T>) => Promise<T>

/** Every call ends in time: neither the client's own timeouts nor abort signals end a command that was written. */
function withDeadline(o: RedisOptions, outage: Outage): Call {
  const limitMs = Math.max(250, Math.round(o.stallTimeoutMs / 2))
  return async (kind, work) => {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs)
    })
    try {
      const result = await Promise.race([work(), late])
      outage.over(kind)
      return result
    } catch (e) {
      const detail = e instanceof Error ? e.message : 'failed'
      outage.begins(kind, detail)
      throw new StoreUnavailable('Redis did not do it', { cause: e })
    } finally {
      clearTimeout(timer)
    }
  }
}
