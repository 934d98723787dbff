import { slotOf } from './redis-slot.ts'
import type { HostPort } from '../../../config/values/store-url.ts'
import { messageOf, within, type Connection } from './redis-connection.ts'
import { createKeeper, type Keeper } from './redis-keeper.ts'
import type { Client } from './redis-library.ts'

export interface ClusterOptions {
  readonly roots: readonly HostPort[]
  readonly open: (at: HostPort) => Promise<Connection>
  readonly stallTimeoutMs: number
  readonly sleep: (ms: number, stop: AbortSignal) => Promise<void>
  /** Every master is connected, and they agree on who has which slot. */
  readonly covered: () => void
  /** They no longer do, or that is not known: nothing that was read may be kept. */
  readonly uncovered: () => void
  /** A master is lost. */
  readonly down: (detail: string) => void
  /** A node was connected: what it said before that was not heard. */
  readonly joined: () => void
}

export interface Cluster {
  /** Runs a command where its key lives, following MOVED and ASK. */
  readonly run: <T>(key: string, work: (client: Client) => Promise<T>) => Promise<T>
  /** A connection to any master. */
  readonly any: () => Client
  masters(): readonly Connection[]
  readonly isCovered: () => boolean
  readonly close: () => void
}

interface View {
  /** Address of the master of each slot. */
  readonly owners: readonly (string | undefined)[]
  readonly masters: ReadonlyMap<string, HostPort>
  readonly signature: string
  readonly ok: boolean
  readonly epoch: number
}

const LOOK_EVERY_MS = 1000
const LOOK_SOON_MS = 100
const MOST_REDIRECTIONS = 8
const RETRY_MS = 40
const nameOf = (at: HostPort): string => `${at.host}|${at.port}`

/**
 * Connections to every master of a cluster. Reads are tracked by the node that has the slot, over the connection that asked:
 * a key that moves away is deleted there, and so invalidated. What tracking cannot tell (a failover, a node cut off from the
 * others that still answers) is found by asking all masters each second who has which slot: unless all are connected, are
 * well and agree, nothing is cached.
 */
export function openCluster(o: ClusterOptions): Cluster {
  const stop = new AbortController()
  const stopped = (): boolean => stop.signal.aborted
  const keepers = new Map<string, Keeper>()
  let view: View | undefined
  let covered = false
  let wake = new AbortController()
  const uncover = (): void => {
    covered = false
    o.uncovered()
  }
  const lookSoon = (): void => wake.abort()
  const ensure = (at: HostPort): Keeper => {
    const name = nameOf(at)
    const have = keepers.get(name)
    if (have !== undefined) return have
    const keeper = createKeeper({
      locate: () => Promise.resolve(at),
      open: o.open,
      sleep: o.sleep,
      up: () => {
        o.joined()
        lookSoon()
      },
      down: (detail) => {
        uncover()
        if (view === undefined || view.masters.has(name)) o.down(`${at.host}:${at.port} ${detail}`)
        lookSoon()
      },
    })
    keepers.set(name, keeper)
    return keeper
  }
  const connected = (): [string, Connection][] =>
    [...keepers].flatMap(([name, k]) => {
      const c = k.current()
      return c === undefined ? [] : [[name, c]]
    })

  /** All who are connected are asked; the newest view of a node that is well counts. */
  const look = async (): Promise<void> => {
    const asked = await Promise.all(
      connected().map(async ([name, c]) => {
        const seen = await within(o.stallTimeoutMs, 'CLUSTER SLOTS', viewOf(c)).catch(() => undefined)
        return { name, c, seen }
      }),
    )
    if (stopped()) return
    const views = asked.flatMap((a) => (a.seen === undefined ? [] : [a.seen]))
    const [best] = views.sort((a, b) => Number(b.ok) - Number(a.ok) || b.epoch - a.epoch)
    if (best === undefined || best.masters.size === 0) {
      if (covered) uncover()
      for (const root of o.roots) ensure(root)
      return
    }
    if (best.signature !== view?.signature) uncover()
    view = best
    for (const at of best.masters.values()) ensure(at)
    for (const [name, keeper] of [...keepers]) {
      if (best.masters.has(name)) continue
      keepers.delete(name)
      keeper.close()
    }
    const agree = (name: string): boolean =>
      asked.some(
        (a) =>
          a.name === name &&
          a.seen?.ok === true &&
          a.seen.signature === best.signature &&
          keepers.get(name)?.current() === a.c,
      )
    const now = [...best.masters.keys()].every(agree)
    if (covered && !now) uncover()
    if (!covered && now) {
      covered = true
      o.covered()
    }
  }
  const watch = async (): Promise<void> => {
    for (const root of o.roots) ensure(root)
    while (!stopped()) {
      await o.sleep(covered ? LOOK_EVERY_MS : LOOK_SOON_MS, AbortSignal.any([wake.signal, stop.signal]))
      wake = new AbortController()
      if (!stopped()) await look()
    }
  }
  void watch()

  const connectionFor = async (at: HostPort): Promise<Connection | undefined> => {
    const keeper = ensure(at)
    for (let i = 0; i < MOST_REDIRECTIONS && keeper.current() === undefined; i++) await o.sleep(RETRY_MS, stop.signal)
    return keeper.current()
  }
  const run = async <T>(key: string, work: (client: Client) => Promise<T>): Promise<T> => {
    const owner = view?.owners[slotOf(key)]
    let connection = owner === undefined ? undefined : keepers.get(owner)?.current()
    let asking = false
    for (let i = 0; ; i++) {
      if (connection === undefined) {
        lookSoon()
        throw new Error('no connection to the node that has the key')
      }
      try {
        // The two are written in one go, so that nothing comes in between.
        if (asking) connection.client.sendCommand(['ASKING']).catch(() => undefined)
        return await work(connection.client)
      } catch (e) {
        const to = redirection(messageOf(e), connection.address)
        if (to === undefined || i >= MOST_REDIRECTIONS || stopped()) throw e
        uncover()
        lookSoon()
        if (to === 'again') await o.sleep(RETRY_MS, stop.signal)
        else connection = await connectionFor(to.at)
        asking = to === 'again' ? asking : to.asking
      }
    }
  }
  return {
    run,
    any: () => {
      const [first] = connected()
      if (first === undefined) throw new Error('no node of the cluster is connected')
      return first[1].client
    },
    masters: () => connected().flatMap(([name, c]) => (view?.masters.has(name) === true ? [c] : [])),
    isCovered: () => covered,
    close: () => {
      stop.abort()
      for (const k of keepers.values()) k.close()
    },
  }
}

/** `MOVED 3999 host:port`, `ASK 3999 host:port`; an empty host is that of the node that said it. */
function redirection(
  message: string,
  from: HostPort,
): { readonly at: HostPort; readonly asking: boolean } | 'again' | undefined {
  if (message.startsWith('TRYAGAIN')) return 'again'
  const m = /^(MOVED|ASK) \d+ (.*):(\d+)$/.exec(message)
  if (m === null) return undefined
  return { at: { host: m[2] === '' ? from.host : (m[2] ?? ''), port: Number(m[3]) }, asking: m[1] === 'ASK' }
}

async function viewOf(c: Connection): Promise<View> {
  const [slots, info] = await Promise.all([
    c.client.sendCommand<unknown>(['CLUSTER', 'SLOTS']),
    c.client.sendCommand<unknown>(['CLUSTER', 'INFO']),
  ])
  const owners = new Array<string | undefined>(16_384)
  const masters = new Map<string, HostPort>()
  const signature: string[] = []
  for (const [start, end, node] of slots as [number, number, [string | null, number]][]) {
    const at: HostPort = { host: node[0] === null || node[0] === '' ? c.address.host : node[0], port: node[1] }
    masters.set(nameOf(at), at)
    owners.fill(nameOf(at), start, end + 1)
    signature.push(`${start}-${end}@${nameOf(at)}`)
  }
  const said = (name: string): string | undefined =>
    new RegExp(`^${name}:(\\S+)`, 'm').exec(typeof info === 'string' ? info : '')?.[1]
  return {
    owners,
    masters,
    signature: signature.sort().join(' '),
    ok: said('cluster_state') === 'ok',
    epoch: Number(said('cluster_current_epoch') ?? 0),
  }
}
