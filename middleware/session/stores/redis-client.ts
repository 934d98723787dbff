import { createClient, createCluster, createSentinel } from 'redis'

/** What this store needs of a connection, whichever kind it is. */
export interface RedisLink {
  eval(script: string, keys: readonly string[], args: readonly string[]): Promise<unknown>
  get(key: string): Promise<string | null>
  del(key: string): Promise<unknown>
  hGetAll(key: string): Promise<Record<string, string>>
  sMembers(key: string): Promise<readonly string[]>
  sRem(key: string, member: string): Promise<unknown>
  /** SET with NX and a life in ms; true where it was set. */
  setNew(key: string, value: string, ttlMs: number): Promise<boolean>
  setFor(key: string, value: string, ttlMs: number): Promise<unknown>
  publish(channel: string, message: string): Promise<unknown>
  subscribe(channel: string, listener: (message: string) => void): Promise<void>
  scan(match: string): AsyncIterable<readonly string[]>
  ping(): Promise<unknown>
  configGet(name: string): Promise<string | undefined>
  /** Whether invalidations of what was read arrive: only then may anything be cached. */
  readonly tracked: () => boolean
  close(): void
}

export interface LinkEvents {
  /** The connection is up, and what was known before it counts no more. */
  readonly ready: () => void
  readonly lost: (detail: string) => void
  /** null: everything. */
  readonly invalidated: (key: string | null) => void
}

export interface LinkOptions {
  readonly url: string
  readonly stallTimeoutMs: number
  readonly events: LinkEvents
}

/**
 * Opens a connection by its URL: `redis://`, `rediss://` (TLS), `redis+sentinel://host:port,host:port/master`,
 * `redis+cluster://host:port,host:port`. Returns at once; it connects, and comes back, in the background.
 */
export function openLink(o: LinkOptions): RedisLink {
  if (o.url.startsWith('redis+sentinel:')) return sentinelLink(o)
  if (o.url.startsWith('redis+cluster:')) return clusterLink(o)
  return singleLink(o)
}

/**
 * A stalled connection (no FIN) is noticed by a ping that gets no answer; by default a socket timeout would close the client
 * for good, so a strategy is given. Commands are never queued while there is no connection.
 */
function socketOptions(stallTimeoutMs: number) {
  return {
    connectTimeout: Math.max(1000, stallTimeoutMs),
    socketTimeout: Math.max(200, Math.round(stallTimeoutMs * 0.6)),
    keepAlive: true,
    noDelay: true,
    reconnectStrategy: (retries: number) => Math.min(1000, 25 * 2 ** Math.min(retries, 6)) + Math.floor(retries % 7),
  }
}

function clientOptions(o: LinkOptions) {
  return {
    disableOfflineQueue: true,
    pingInterval: Math.max(50, Math.round(o.stallTimeoutMs * 0.25)),
    socket: socketOptions(o.stallTimeoutMs),
  }
}

function singleLink(o: LinkOptions): RedisLink {
  const make = (tracking: boolean) =>
    createClient({ url: o.url, ...clientOptions(o), ...(tracking ? { emitInvalidate: true } : {}) })
  let tracking = true
  let up = false
  let client = make(true)
  const attach = (): void => {
    const mine = client
    mine.on('ready', () => {
      up = true
      o.events.ready()
    })
    mine.on('error', (e: Error) => {
      up = false
      o.events.lost(e.message)
      // An ACL that forbids CLIENT TRACKING: go on without a cache.
      if (tracking && mine === client && /NOPERM/.test(e.message)) withoutTracking()
    })
    mine.on('end', () => (up = false))
    ;(mine as unknown as { on(name: 'invalidate', f: (key: Buffer | string | null) => void): void }).on(
      'invalidate',
      (key) => o.events.invalidated(key === null ? null : String(key)),
    )
    mine.connect().catch((e: unknown) => {
      if (tracking && mine === client && e instanceof Error && /NOPERM/.test(e.message)) withoutTracking()
    })
  }
  const withoutTracking = (): void => {
    tracking = false
    destroy(client)
    client = make(false)
    attach()
  }
  attach()
  let subscriber: ReturnType<typeof make> | undefined
  return {
    ...commands(() => client),
    scan: (match) => client.scanIterator({ MATCH: match, COUNT: 500 }),
    configGet: async (name) => (await client.configGet(name))[name],
    subscribe: async (channel, listener) => {
      subscriber = make(false)
      subscriber.on('error', () => undefined)
      await subscriber.connect()
      await subscriber.subscribe(channel, listener)
    },
    tracked: () => tracking && up,
    close: () => {
      destroy(client)
      if (subscriber !== undefined) destroy(subscriber)
    },
  }
}

function sentinelLink(o: LinkOptions): RedisLink {
  const at = parseMany(o.url)
  const { disableOfflineQueue, pingInterval, socket } = clientOptions(o)
  const auth = {
    ...(at.username === '' ? {} : { username: at.username }),
    ...(at.password === '' ? {} : { password: at.password }),
  }
  const sentinel = createSentinel({
    name: at.path,
    sentinelRootNodes: at.hosts,
    nodeClientOptions: { ...auth, disableOfflineQueue, pingInterval, socket },
    sentinelClientOptions: { socket },
    scanInterval: 1000,
    passthroughClientErrorEvents: true,
  })
  sentinel.on('error', (e: unknown) => o.events.lost(e instanceof Error ? e.message : 'sentinel'))
  sentinel
    .connect()
    .then(o.events.ready)
    .catch((e: unknown) => o.events.lost(e instanceof Error ? e.message : 'sentinel'))
  return {
    ...commands(() => sentinel),
    scan: async function* (match) {
      let cursor = '0'
      do {
        const page = await sentinel.use((c) => c.scan(cursor, { MATCH: match, COUNT: 500 }))
        cursor = page.cursor
        yield page.keys
      } while (cursor !== '0')
    },
    configGet: async (name) => sentinel.use(async (c) => (await c.configGet(name))[name]),
    subscribe: (channel, listener) => sentinel.subscribe(channel, listener),
    tracked: () => false,
    close: () => destroy(sentinel),
  }
}

function clusterLink(o: LinkOptions): RedisLink {
  const at = parseMany(o.url)
  const { pingInterval, socket } = clientOptions(o)
  const auth = {
    ...(at.username === '' ? {} : { username: at.username }),
    ...(at.password === '' ? {} : { password: at.password }),
  }
  const cluster = createCluster({
    rootNodes: at.hosts.map((h) => ({ socket: { ...socket, ...h } })),
    defaults: { ...auth, pingInterval, socket, disableOfflineQueue: true },
    maxCommandRedirections: 8,
  })
  cluster.on('error', (e: unknown) => o.events.lost(e instanceof Error ? e.message : 'cluster'))
  let connected: Promise<unknown> | undefined
  const connect = (): Promise<unknown> =>
    (connected ??= cluster.connect().then(o.events.ready, (e: unknown) => {
      connected = undefined
      throw e
    }))
  const again = (): void => {
    connect().catch((e: unknown) => {
      o.events.lost(e instanceof Error ? e.message : 'cluster')
      retry = setTimeout(again, 500).unref()
    })
  }
  let retry: NodeJS.Timeout | undefined
  again()
  return {
    ...commands(() => cluster),
    scan: async function* (match) {
      for (const master of cluster.masters) {
        const node = await cluster.nodeClient(master)
        yield* node.scanIterator({ MATCH: match, COUNT: 500 })
      }
    },
    configGet: async (name) => {
      const [first] = cluster.masters
      return first === undefined ? undefined : (await (await cluster.nodeClient(first)).configGet(name))[name]
    },
    ping: () => cluster.get('bff:ping'),
    subscribe: (channel, listener) => cluster.subscribe(channel, listener),
    tracked: () => false,
    close: () => {
      clearTimeout(retry)
      destroy(cluster)
    },
  }
}

/** The part of the three clients' API that is the same. */
interface Commands {
  eval(script: string, o: { keys: string[]; arguments: string[] }): Promise<unknown>
  get(key: string): Promise<unknown>
  del(key: string): Promise<unknown>
  hGetAll(key: string): Promise<unknown>
  sMembers(key: string): Promise<unknown>
  sRem(key: string, member: string): Promise<unknown>
  set(key: string, value: string, o: object): Promise<unknown>
  publish(channel: string, message: string): Promise<unknown>
  ping?(): Promise<unknown>
}

function commands(client: () => unknown): Omit<RedisLink, 'scan' | 'configGet' | 'subscribe' | 'tracked' | 'close'> {
  const c = (): Commands => client() as Commands
  return {
    eval: (script, keys, args) => c().eval(script, { keys: [...keys], arguments: [...args] }),
    get: async (key) => (await c().get(key)) as string | null,
    del: (key) => c().del(key),
    hGetAll: async (key) => (await c().hGetAll(key)) as Record<string, string>,
    sMembers: async (key) => (await c().sMembers(key)) as string[],
    sRem: (key, member) => c().sRem(key, member),
    setNew: async (key, value, ttlMs) =>
      (await c().set(key, value, { condition: 'NX', expiration: { type: 'PX', value: ttlMs } })) === 'OK',
    setFor: (key, value, ttlMs) => c().set(key, value, { expiration: { type: 'PX', value: ttlMs } }),
    publish: (channel, message) => c().publish(channel, message),
    ping: () => c().ping?.() ?? c().get('bff:ping'),
  }
}

function destroy(client: { destroy(): unknown }): void {
  try {
    const done = client.destroy()
    if (done instanceof Promise) done.catch(() => undefined)
  } catch {
    // Closed already.
  }
}

/** `redis+sentinel://user:pass@a:26379,b:26379/master`: more hosts than a URL has room for. */
export function parseMany(url: string): {
  readonly username: string
  readonly password: string
  readonly hosts: { host: string; port: number }[]
  readonly path: string
} {
  const rest = url.slice(url.indexOf('://') + 3)
  const at = rest.lastIndexOf('@')
  const [username = '', ...password] = at === -1 ? [] : rest.slice(0, at).split(':')
  const [authority = '', path = ''] =
    rest
      .slice(at + 1)
      .split('?')[0]
      ?.split('/') ?? []
  const hosts = authority.split(',').map((h) => {
    const cut = h.lastIndexOf(':')
    return cut === -1
      ? { host: h, port: url.startsWith('redis+sentinel') ? 26_379 : 6379 }
      : { host: h.slice(0, cut), port: Number(h.slice(cut + 1)) }
  })
  return { username: decodeURIComponent(username), password: decodeURIComponent(password.join(':')), hosts, path }
}
