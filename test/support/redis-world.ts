import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import { createClient } from 'redis'
import { findRedis, freePort, start, startRedis, until, type Redis, type Running } from '../../demo/launcher/index.ts'
import type { Stores } from '../../middleware/session/open-stores.ts'
import type { SessionId } from '../../middleware/types.ts'

export const isUp = async (s: Stores): Promise<boolean> => (await s.sessions.health()).up
export const isWarm = (s: Stores, id: SessionId): boolean => {
  const found = s.sessions.load(id)
  if (!(found instanceof Promise)) return found !== undefined
  found.catch(() => undefined)
  return false
}
/** Asks until an answer comes from the cache. */
export const warm = (s: Stores, id: SessionId): Promise<void> =>
  until('a warm answer', async () => {
    await s.sessions.load(id)
    return isWarm(s, id)
  })

export type Admin = Awaited<ReturnType<typeof adminOf>>
export const adminOf = (url: string) =>
  createClient({ url, RESP: 2 })
    .on('error', () => undefined)
    .connect()

export interface Wire {
  readonly port: number
  /** Nothing passes any more, and nobody is told. */
  stall(): void
  flow(): void
  /** Each piece comes so much later. */
  delayMs: number
  /** Ends what is open; with `refuse`, what comes too. */
  cut(refuse?: boolean): void
  accept(): void
  close(): Promise<void>
}

const pem = (name: string): Buffer => readFileSync(new URL(`../provider/tls/${name}`, import.meta.url))
export const tlsFile = (name: string): string => new URL(`../provider/tls/${name}`, import.meta.url).pathname

/**
 * The network between us and a server: it delays, stalls and cuts. Whoever begins with TLS is spoken to in TLS, and must show
 * our client certificate; the server behind it speaks plain.
 */
export async function startWire(to: number, at?: number): Promise<Wire> {
  const pairs = new Set<readonly [Socket, Socket]>()
  let stalled = false
  let refusing = false
  const wire = { delayMs: 0 }
  const pass = (from: Socket, into: Socket): void => {
    from.on('data', (chunk: Buffer) => {
      const write = (): void => {
        if (!into.destroyed && !stalled) into.write(chunk)
      }
      if (stalled) return
      if (wire.delayMs === 0) write()
      else setTimeout(write, wire.delayMs)
    })
    from.on('error', () => into.destroy())
    from.on('close', () => into.destroy())
  }
  const join = (raw: Socket, client: Socket): void => {
    const server = connect(to, '127.0.0.1')
    const pair = [raw, server] as const
    pairs.add(pair)
    raw.on('close', () => pairs.delete(pair))
    pass(client, server)
    pass(server, client)
  }
  const server: Server = createServer((raw) => {
    if (refusing) {
      raw.destroy()
      return
    }
    raw.on('error', () => raw.destroy())
    raw.once('data', (first: Buffer) => {
      raw.pause()
      raw.unshift(first)
      if (first[0] !== 0x16) {
        join(raw, raw)
        raw.resume()
        return
      }
      const tls = new TLSSocket(raw, {
        isServer: true,
        cert: pem('server.pem'),
        key: pem('server.key'),
        ca: pem('client.pem'),
        requestCert: true,
        rejectUnauthorized: true,
      })
      tls.on('error', () => raw.destroy())
      join(raw, tls)
    })
  })
  const port = at ?? (await freePort())
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const cut = (): void => {
    for (const [a, b] of pairs) {
      a.destroy()
      b.destroy()
    }
  }
  return Object.assign(wire, {
    port,
    stall: () => {
      stalled = true
    },
    flow: () => {
      stalled = false
    },
    cut: (refuse = false) => {
      refusing = refuse
      cut()
    },
    accept: () => {
      refusing = false
    },
    close: async () => {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

export interface SentinelWorld {
  readonly master: Redis
  readonly sentinel: Running
  readonly replica: Redis
  readonly port: number
  stop(): Promise<void>
}

/** A master, its replica, and one sentinel that watches them; `via` is the port under which it knows the master. */
export async function startSentinelWorld(o: { readonly via?: number; readonly sentinelLines?: string[] } = {}) {
  const master = await startRedis()
  const wire = o.via === undefined ? undefined : await startWire(master.port, o.via)
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
  const dir = mkdtempSync(join(tmpdir(), 'bff-sentinel-'))
  const port = await freePort()
  writeFileSync(
    join(dir, 'sentinel.conf'),
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${dir}`,
      `sentinel monitor main 127.0.0.1 ${wire?.port ?? master.port} 1`,
      'sentinel down-after-milliseconds main 700',
      'sentinel failover-timeout main 3000',
      ...(o.sentinelLines ?? []),
      '',
    ].join('\n'),
  )
  const sentinel = start(await findRedis(), [join(dir, 'sentinel.conf'), '--sentinel'])
  await until(
    'Sentinel',
    async () => /\+monitor master main/.test(sentinel.output()) && /\+slave slave/.test(sentinel.output()),
    { running: sentinel, timeoutMs: 30_000 },
  )
  return {
    master,
    sentinel,
    replica,
    port,
    stop: async () => {
      await sentinel.stop()
      await wire?.close()
      await replica.stop()
      await master.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  } satisfies SentinelWorld
}

export interface ClusterWorld {
  readonly nodes: readonly Redis[]
  readonly admins: readonly Admin[]
  readonly url: string
  stop(): Promise<void>
}

/** Three masters with a third of the slots each, and a replica of the first. */
export async function startCluster(): Promise<ClusterWorld> {
  const args = ['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf', '--cluster-node-timeout', '1500']
  const nodes = await Promise.all([1, 2, 3, 4].map(() => startRedis({ args })))
  const admins = await Promise.all(nodes.map((n) => adminOf(n.url)))
  const ranges = [
    [0, 5460],
    [5461, 10_922],
    [10_923, 16_383],
  ]
  for (const [i, admin] of admins.entries()) {
    const [from, to] = ranges[i] ?? []
    if (from !== undefined) await admin.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', String(from), String(to)])
    for (const n of nodes) await admin.sendCommand(['CLUSTER', 'MEET', '127.0.0.1', String(n.port)])
  }
  const says = (admin: Admin, ...command: string[]): Promise<string> =>
    admin.sendCommand<string>(['CLUSTER', ...command])
  const everybody = async (ask: (admin: Admin) => Promise<boolean>): Promise<boolean> =>
    (await Promise.all(admins.map(ask))).every(Boolean)
  await until('the nodes', () => everybody(async (a) => (await says(a, 'NODES')).trim().split('\n').length === 4), {
    timeoutMs: 60_000,
  })
  const [first, , , fourth] = admins
  if (first === undefined || fourth === undefined) throw new Error('no nodes')
  const firstId = await says(first, 'MYID')
  await until('the replica', async () => (await says(fourth, 'REPLICATE', firstId)) === 'OK', { timeoutMs: 60_000 })
  await until(
    'the cluster',
    () =>
      everybody(
        async (a) =>
          (await says(a, 'INFO')).includes('cluster_state:ok') &&
          new RegExp(`(?:slave|replica) ${firstId} .* connected`).test(await says(a, 'NODES')),
      ),
    { timeoutMs: 60_000 },
  )
  await until('replication', async () => (await fourth.info('replication')).includes('master_link_status:up'), {
    timeoutMs: 60_000,
  })
  return {
    nodes,
    admins,
    url: `redis+cluster://${nodes
      .slice(0, 3)
      .map((n) => `127.0.0.1:${n.port}`)
      .join(',')}`,
    stop: async () => {
      for (const a of admins) a.destroy()
      await Promise.all(nodes.map((n) => n.stop()))
    },
  }
}
