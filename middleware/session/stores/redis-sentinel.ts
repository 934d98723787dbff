import type { HostPort, RedisUrl } from '../../../config/values/store-url.ts'
import { createClient, type Client } from './redis-library.ts'
import { messageOf, tlsOptions, within, type ConnectionSettings } from './redis-connection.ts'

/** Where the master is, as the sentinels say. */
export interface Sentinels {
  /** @throws where no sentinel knows. */
  readonly locate: () => Promise<HostPort>
  close(): void
}

interface Told {
  readonly address: HostPort
  readonly epoch: number
}

/** They are asked again this often, should a message of theirs have been missed. */
const ASK_EVERY_MS = 1000

/**
 * Asks every sentinel and believes the newest configuration: one that was cut off from the others still tells of the old
 * master (Sentinel protocol: the config epoch only rises). `moved` is called when they announce another master, and at each
 * round of asking.
 */
export function openSentinels(
  url: RedisUrl,
  s: ConnectionSettings,
  moved: (to: HostPort) => void,
  sleep: (ms: number, stop: AbortSignal) => Promise<void>,
): Sentinels {
  const stop = new AbortController()
  const stopped = (): boolean => stop.signal.aborted
  const open = new Map<HostPort, Client>()
  const clientOf = async (at: HostPort): Promise<Client> => {
    const have = open.get(at)
    if (have?.isReady === true) return have
    have?.destroy()
    const client = makeSentinel(at, url, s)
    open.set(at, client)
    client.on('error', () => client.destroy())
    await client.connect()
    await client
      .subscribe('+switch-master', (text) => {
        const [name, , , host, port] = text.split(' ')
        if (name === url.master && host !== undefined) moved({ host, port: Number(port) })
      })
      // One whose ACL forbids it is asked every second all the same.
      .catch(() => undefined)
    return client
  }
  const ask = async (at: HostPort): Promise<Told> => {
    const client = await clientOf(at)
    const told = await client.sendCommand<Record<string, unknown>>(['SENTINEL', 'MASTER', url.master])
    const [host, port] = [told['ip'], Number(told['port'])]
    if (typeof host !== 'string' || !(port > 0)) throw new Error('a sentinel answered without an address')
    return { address: { host, port }, epoch: Number(told['config-epoch'] ?? 0) }
  }
  const locate = async (): Promise<HostPort> => {
    const asked = url.hosts.map((at) => within(Math.max(500, s.stallTimeoutMs), 'sentinel', ask(at)))
    const answers = await Promise.allSettled(asked)
    const told = answers.flatMap((a) => (a.status === 'fulfilled' ? [a.value] : []))
    const [newest] = told.sort((a, b) => b.epoch - a.epoch)
    if (newest !== undefined) return newest.address
    const why = answers.flatMap((a) => (a.status === 'rejected' ? [messageOf(a.reason)] : []))
    throw new Error(`no sentinel tells the master: ${[...new Set(why)].join(', ')}`)
  }
  const watch = async (): Promise<void> => {
    while (!stopped()) {
      await sleep(ASK_EVERY_MS, stop.signal)
      if (!stopped()) await locate().then(moved, () => undefined)
    }
  }
  void watch()
  return {
    locate,
    close: () => {
      stop.abort()
      for (const client of open.values()) client.destroy()
    },
  }
}

function makeSentinel(at: HostPort, url: RedisUrl, s: ConnectionSettings): Client {
  return createClient({
    socket: {
      ...at,
      ...(s.tls === undefined ? {} : tlsOptions(s.tls)),
      connectTimeout: Math.max(500, s.stallTimeoutMs),
      // Each round of asking opens what is closed.
      reconnectStrategy: false,
    },
    ...(url.sentinelUsername === undefined ? {} : { username: url.sentinelUsername }),
    ...(url.sentinelPassword === undefined ? {} : { password: url.sentinelPassword }),
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  })
}
