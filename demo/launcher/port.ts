import { createSocket, type Socket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'

const MANY = 10_000

/**
 * Where ports come from: below those that the kernel gives to outgoing connections and to `listen(0)` (on Linux 32768
 * and up, unless somebody set it lower), so that no connection takes one between its choice and its use. From 10,000 to
 * 19,999 where that is so; Redis Cluster takes the port 10,000 above each as well, which is then in nobody's way either.
 */
function range(): { readonly from: number; readonly to: number } {
  const to = Math.min(ephemeralFrom(), 2 * MANY) - 1
  return to - MANY < 1024 ? { from: MANY, to: 2 * MANY - 1 } : { from: to - MANY + 1, to }
}

function ephemeralFrom(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/)[0])
  } catch {
    return 49_152 // What IANA says, and what others than Linux do.
  }
}

/** Holds the numbers that this process has chosen; unreferenced, and freed by the kernel however the process ends. */
const held: Socket[] = []

/**
 * A port of loopback that nothing listens on, and that no other process which asks here gets while this one lives.
 *
 * A number alone is a race: another process may be given the same before the server that it is meant for listens. So
 * each is held by a UDP socket of that number, which is in no TCP server's way; whoever finds it taken looks further.
 *
 * @param inARow - How many ports in a row are free and held from the returned one on.
 * @throws Error where no such ports are free.
 */
export async function freePort(inARow = 1): Promise<number> {
  const { from, to } = range()
  for (let tries = 0; tries < 2000; tries++) {
    const first = from + Math.floor(Math.random() * (to - from + 2 - inARow))
    if (await hold(first, inARow)) return first
  }
  throw new Error(`no free port of loopback between ${from} and ${to}`)
}

async function hold(first: number, inARow: number): Promise<boolean> {
  const holders: Socket[] = []
  for (let port = first; port < first + inARow; port++) {
    const holder = await holderOf(port)
    if (holder !== undefined) holders.push(holder)
    if (holder === undefined || !(await canListen(port))) {
      for (const h of holders) h.close()
      return false
    }
  }
  held.push(...holders)
  return true
}

function holderOf(port: number): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4')
    socket.once('error', (e: NodeJS.ErrnoException) => {
      socket.close()
      if (e.code === 'EADDRINUSE') resolve(undefined)
      else reject(e)
    })
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => {
      socket.unref()
      resolve(socket)
    })
  })
}

/** Whether one can listen on a port of loopback now. */
export function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** Whether something answers on a port of loopback. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
