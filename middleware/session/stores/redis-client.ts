import type { StoreTls } from '../../../config/types.ts'
import { parseRedisUrl, type RedisUrl } from '../../../config/values/store-url.ts'
import { openCluster } from './redis-cluster.ts'
import * as send from './redis-commands.ts'
import {
  connect,
  messageOf,
  type Connection,
  type ConnectionEvents,
  type ConnectionSettings,
} from './redis-connection.ts'
import { createKeeper } from './redis-keeper.ts'
import type { Client } from './redis-library.ts'
import { openSentinels } from './redis-sentinel.ts'

/** What this store needs of a server, whichever kind it is. Nothing here waits for a connection: without one it rejects. */
export interface RedisLink {
  readonly eval: (script: string, keys: readonly string[], args: readonly string[]) => Promise<unknown>
  get(key: string): Promise<string | null>
  del(key: string): Promise<unknown>
  hGetAll(key: string): Promise<Record<string, string>>
  sMembers(key: string): Promise<readonly string[]>
  sRem(key: string, member: string): Promise<unknown>
  /** SET with NX and a life in ms; true where it was set. */
  setNew(key: string, value: string, ttlMs: number): Promise<boolean>
  setFor(key: string, value: string, ttlMs: number): Promise<unknown>
  publish(channel: string, message: string): Promise<unknown>
  scan(match: string): AsyncIterable<readonly string[]>
  /** Whether every master reads, and writes where asked for. Rejects with why not. */
  probe(kind: 'read' | 'write'): Promise<unknown>
  /** `maxmemory-policy` of each master that tells it. */
  policies(): Promise<readonly string[]>
  /** Whether invalidations of what was read arrive: only then may anything be cached. */
  readonly tracked: () => boolean
  /** Whether all masters tell of ended sessions. */
  readonly subscribed: () => boolean
  readonly close: () => void
}

export interface LinkEvents extends ConnectionEvents {
  /** The connection is up, and what was known before it counts no more. */
  readonly ready: () => void
  readonly lost: (detail: string) => void
  /** Nothing that was read may be believed any longer. */
  readonly uncovered: () => void
  /** Messages may have been missed until now. */
  readonly gap: () => void
}

export interface LinkOptions {
  readonly url: string
  readonly tls: StoreTls | undefined
  readonly stallTimeoutMs: number
  readonly channel: string
  /** A key of ours, for probing: nobody else's command may need more rights than the store's own. */
  readonly probeKey: (n: number, what: 'string' | 'hash') => string
  readonly sleep: (ms: number, stop?: AbortSignal) => Promise<void>
  readonly events: LinkEvents
}

type Run = <T>(key: string, work: (client: Client) => Promise<T>) => Promise<T>

/**
 * Opens a store by its URL (config/values/store-url.ts). Returns at once; it connects, and comes back, in the background.
 *
 * @throws Error where the URL is none; the config's check has said so before.
 */
export function openLink(o: LinkOptions): RedisLink {
  const url = parseRedisUrl(o.url)
  if ('wrong' in url) throw new Error(url.wrong)
  const settings: ConnectionSettings = {
    tls: url.tls ? (o.tls ?? {}) : undefined,
    username: url.username,
    password: url.password,
    database: url.database,
    stallTimeoutMs: o.stallTimeoutMs,
    sleep: o.sleep,
  }
  return url.kind === 'cluster' ? clusterLink(o, url, settings) : masterLink(o, url, settings)
}

/** One server, or the master that the sentinels name. */
function masterLink(o: LinkOptions, url: RedisUrl, s: ConnectionSettings): RedisLink {
  let ups = 0
  const sentinels =
    url.kind === 'sentinel'
      ? openSentinels(
          url,
          s,
          (to) => {
            const now = keeper.current()?.address
            if (now !== undefined && (now.host !== to.host || now.port !== to.port)) keeper.renew(() => true)
          },
          o.sleep,
        )
      : undefined
  const keeper = createKeeper({
    locate: sentinels?.locate ?? (() => Promise.resolve(url.hosts[0])),
    open: async (at) => {
      const c = await connect(at, s, {
        channel: o.channel,
        probe: (client) => send.get(client, o.probeKey(0, 'string')),
        events: o.events,
      })
      // Between two masters the sentinels may still name the one that no longer is.
      if (sentinels === undefined || c.role === undefined || c.role === 'master') return c
      c.close()
      throw new Error(`${at.host}:${at.port} is a ${c.role}, not the master`)
    },
    up: () => {
      o.events.ready()
      if (ups++ > 0) o.events.gap()
    },
    down: o.events.lost,
    sleep: o.sleep,
  })
  const client = (): Client => {
    const c = keeper.current()
    if (c === undefined) throw new Error('no connection')
    return c.client
  }
  const run: Run = async (_key, work) => {
    try {
      return await work(client())
    } catch (e) {
      // Its name may belong to another server by now: an address that follows the master, or a failover under way.
      if (messageOf(e).startsWith('READONLY')) keeper.renew(() => true)
      throw e
    }
  }
  return {
    ...commands(run, client),
    scan: (match) => send.scan(client(), match),
    probe: (kind) => (kind === 'read' ? run('', (c) => readProbe(c, o, 0)) : run('', (c) => writeProbe(c, o, 0))),
    policies: async () => policyOf(client()),
    tracked: () => keeper.current()?.tracked === true,
    subscribed: () => keeper.current()?.subscribed === true,
    close: () => {
      sentinels?.close()
      keeper.close()
    },
  }
}

function clusterLink(o: LinkOptions, url: RedisUrl, s: ConnectionSettings): RedisLink {
  let everCovered = false
  const cluster = openCluster({
    roots: url.hosts,
    stallTimeoutMs: o.stallTimeoutMs,
    sleep: o.sleep,
    // Any key of any slot may be asked of a node that does not have it: MOVED is an answer too.
    open: (at) =>
      connect(at, s, {
        channel: o.channel,
        probe: (client) =>
          send.get(client, o.probeKey(0, 'string')).catch((e: unknown) => {
            if (!/^(?:MOVED|ASK) /.test(messageOf(e))) throw e
          }),
        events: o.events,
      }),
    covered: () => {
      everCovered = true
      o.events.ready()
    },
    uncovered: o.events.uncovered,
    down: o.events.lost,
    joined: () => {
      if (everCovered) o.events.gap()
    },
  })
  return {
    ...commands(cluster.run, cluster.any),
    scan: async function* (match) {
      for (const c of cluster.masters()) yield* send.scan(c.client, match)
    },
    probe: async (kind) => {
      // Enough keys for each master to have one.
      const numbers = Array.from({ length: 48 }, (_, n) => n)
      const one = kind === 'read' ? readProbe : writeProbe
      await Promise.all(numbers.map((n) => cluster.run(o.probeKey(n, 'string'), (c) => one(c, o, n))))
    },
    policies: async () => (await Promise.all(cluster.masters().map((c) => policyOf(c.client)))).flat(),
    tracked: () => cluster.isCovered() && cluster.masters().every((c: Connection) => c.tracked),
    subscribed: () => cluster.masters().some((c) => c.subscribed),
    close: cluster.close,
  }
}

function commands(
  run: Run,
  any: () => Client,
): Omit<RedisLink, 'scan' | 'probe' | 'policies' | 'subscribed' | 'tracked' | 'close'> {
  return {
    eval: (script, keys, args) => run(keys[0] ?? '', (c) => send.evaluate(c, script, keys, args)),
    get: (key) => run(key, (c) => send.get(c, key)),
    del: (key) => run(key, (c) => send.del(c, key)),
    hGetAll: (key) => run(key, (c) => send.hGetAll(c, key)),
    sMembers: (key) => run(key, (c) => send.sMembers(c, key)),
    sRem: (key, member) => run(key, (c) => send.sRem(c, key, member)),
    setNew: async (key, value, ttlMs) => (await run(key, (c) => send.setFor(c, key, value, ttlMs, 'NX'))) === 'OK',
    setFor: (key, value, ttlMs) => run(key, (c) => send.setFor(c, key, value, ttlMs)),
    publish: async (channel, message) => send.publish(any(), channel, message),
  }
}

/** As sessions are read. */
function readProbe(client: Client, o: LinkOptions, n: number): Promise<unknown> {
  return Promise.all([send.get(client, o.probeKey(n, 'string')), send.hGetAll(client, o.probeKey(n, 'hash'))])
}

/** As sessions are written: by a script. */
function writeProbe(client: Client, o: LinkOptions, n: number): Promise<unknown> {
  const script = "return redis.call('SET', KEYS[1], '1', 'PX', '1000')"
  return send.evaluate(client, script, [o.probeKey(n, 'string')], [])
}

/** CONFIG is often forbidden where Redis is managed; INFO says the same. */
async function policyOf(client: Client): Promise<string[]> {
  const name = 'maxmemory-policy'
  const told = await send.configGet(client, name).catch(() => undefined)
  const policy = told?.[name] ?? /maxmemory_policy:(\S+)/.exec(await send.info(client, 'memory').catch(() => ''))?.[1]
  return policy === undefined ? [] : [policy]
}
