import { readFileSync } from 'node:fs'
import type { StoreTls } from '../../../config/types.ts'
import type { HostPort } from '../../../config/values/store-url.ts'
import { createClient, type Client } from './redis-library.ts'

/** What every connection of one store shares. */
export interface ConnectionSettings {
  /** undefined: no TLS. Files are read at each connection, so that a renewed certificate counts without a restart. */
  readonly tls: StoreTls | undefined
  readonly username: string | undefined
  readonly password: string | undefined
  readonly database: number
  readonly stallTimeoutMs: number
  readonly sleep: (ms: number) => Promise<void>
}

export interface ConnectionEvents {
  /** A key that was read over this connection has changed; null: everything. */
  readonly invalidated: (key: string | null) => void
  readonly message: (text: string) => void
  /** What this user may not do, said for the operator. */
  readonly warn: (topic: 'tracking' | 'subscribe', detail: string | undefined) => void
}

/** One connection, from its opening to its end: it never comes back, so that nothing known over it outlives it. */
export interface Connection {
  readonly client: Client
  readonly address: HostPort
  /** Whether invalidations of what is read over it arrive over it. */
  readonly tracked: boolean
  readonly subscribed: boolean
  /** As the server says it: `master`, `replica`; undefined where it does not. */
  readonly role: string | undefined
  /** Resolves once, when it is over, with why. */
  readonly lost: Promise<string>
  close(): void
}

export function messageOf(e: unknown): string {
  if (e instanceof AggregateError) return e.errors.map(messageOf).join(', ')
  return e instanceof Error && e.message !== '' ? e.message : 'failed'
}

/** Rejects after so long; the work itself cannot be taken back. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

export function tlsOptions(tls: StoreTls): { tls: true; ca?: Buffer; cert?: Buffer; key?: Buffer } {
  const { ca, cert, key } = tls
  return {
    tls: true,
    ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
    ...(cert === undefined ? {} : { cert: readFileSync(cert) }),
    ...(key === undefined ? {} : { key: readFileSync(key) }),
  }
}

function makeClient(address: HostPort, s: ConnectionSettings, tracking: boolean): Client {
  return createClient({
    socket: {
      ...address,
      ...(s.tls === undefined ? {} : tlsOptions(s.tls)),
      connectTimeout: connectLimit(s),
      reconnectStrategy: false,
      keepAlive: true,
      noDelay: true,
    },
    ...(s.username === undefined ? {} : { username: s.username }),
    ...(s.password === undefined ? {} : { password: s.password }),
    database: s.database,
    // Without a connection a command fails at once; it is never queued.
    disableOfflineQueue: true,
    // Nobody but us may move a connection that we track over.
    maintNotifications: 'disabled',
    ...(tracking ? { emitInvalidate: true } : {}),
  })
}

/** Nothing is cached before there is a connection, so it may take its time: a busy server is not asked again and again. */
const connectLimit = (s: ConnectionSettings): number => Math.max(3000, s.stallTimeoutMs)

/**
 * Connects, says who we are, turns tracking on, listens to `channel` and asks `probe`, all in a bounded time.
 *
 * @throws what the server or the socket says: refused, NOAUTH, WRONGPASS, LOADING, a certificate that does not verify.
 */
export async function connect(
  address: HostPort,
  s: ConnectionSettings,
  o: {
    readonly channel: string
    readonly probe: (client: Client) => Promise<unknown>
    readonly events: ConnectionEvents
  },
): Promise<Connection> {
  try {
    const tracked = await open(address, s, o, true)
    o.events.warn('tracking', undefined)
    return tracked
  } catch (e) {
    // An ACL that forbids CLIENT TRACKING: go on without a cache.
    if (!/NOPERM/.test(messageOf(e))) throw e
    const untracked = await open(address, s, o, false)
    o.events.warn('tracking', `without CLIENT TRACKING every check is a round trip: ${messageOf(e)}`)
    return untracked
  }
}

async function open(
  address: HostPort,
  s: ConnectionSettings,
  o: Parameters<typeof connect>[2],
  tracking: boolean,
): Promise<Connection> {
  const client = makeClient(address, s, tracking)
  const over = Promise.withResolvers<string>()
  let closed = false
  const end = (detail: string): void => {
    if (closed) return
    closed = true
    client.destroy()
    over.resolve(detail)
  }
  client.on('error', (e: unknown) => end(messageOf(e)))
  client.on('end', () => end('the connection ended'))
  if (tracking)
    (client as unknown as { on(name: 'invalidate', f: (key: Buffer | string | null) => void): void }).on(
      'invalidate',
      (key) => {
        if (!closed) o.events.invalidated(key === null ? null : String(key))
      },
    )
  const begin = async (): Promise<Pick<Connection, 'role' | 'subscribed'>> => {
    await client.connect()
    const role = await roleOf(client)
    await o.probe(client)
    const subscribed = await listen(client, o.channel, o.events)
    return { role, subscribed }
  }
  try {
    const begun = await within(connectLimit(s), 'connecting', begin())
    void watchForStalls(client, s, () => closed, end)
    return { client, address, tracked: tracking, ...begun, lost: over.promise, close: () => end('closed') }
  } catch (e) {
    end(messageOf(e))
    throw e
  }
}

/** HELLO without arguments tells the role, and no ACL stands against it. */
async function roleOf(client: Client): Promise<string | undefined> {
  const said = await client.sendCommand<{ role?: string }>(['HELLO']).catch(() => undefined)
  return said?.role
}

async function listen(client: Client, channel: string, events: ConnectionEvents): Promise<boolean> {
  try {
    await client.subscribe(channel, (text) => events.message(text))
    events.warn('subscribe', undefined)
    return true
  } catch (e) {
    if (!/NOPERM/.test(messageOf(e))) throw e
    events.warn('subscribe', `ends of sessions are not heard from other replicas at once: ${messageOf(e)}`)
    return false
  }
}

/**
 * A connection that stalls (no FIN, no RST) is found out by a ping that gets no answer, within `stallTimeoutMs`. A socket's
 * own timeout would not do: it starts anew with everything that we write. Any answer is a sign of life, an error too.
 */
async function watchForStalls(
  client: Client,
  s: ConnectionSettings,
  isClosed: () => boolean,
  end: (detail: string) => void,
): Promise<void> {
  const limitMs = Math.max(40, Math.round(s.stallTimeoutMs * 0.6))
  for (;;) {
    await s.sleep(Math.max(20, Math.round(s.stallTimeoutMs * 0.25)))
    if (isClosed()) return
    const answered = new AbortController()
    const seen = (): void => answered.abort()
    const pong = client.sendCommand(['PING']).then(seen, seen)
    await within(limitMs, 'ping', pong).catch(() => undefined)
    // Were we busy ourselves, the answer is waiting to be read: one turn of the loop before judging.
    if (!answered.signal.aborted) await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    if (!answered.signal.aborted) end(`stalled: no answer to a ping within ${limitMs} ms`)
  }
}
