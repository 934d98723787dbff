import { Server as NetServer, type AddressInfo, type ListenOptions, type Server } from 'node:net'
import type { ListenAddress } from '../config/types.ts'
import type { Clock } from '../middleware/types.ts'
import type { Holder } from './deployment.ts'

/** Two processes that start at once meet each other's short look at the port: so often they look again. */
const TRIES = 20
const AGAIN_MS = 50

export interface Listening {
  /** `host:port` as bound. */
  readonly address: string
  /** A sibling listens on the same port. */
  readonly beside: boolean
}

/**
 * Listens so that a successor can open the same port before this process closes it (SO_REUSEPORT: the kernel spreads new
 * connections over all who listen). The kernel would let any two processes of one user do that, so the port is first taken
 * without sharing; where that fails, only a sibling is joined. Rejects with EADDRINUSE where something else holds it.
 *
 * Between the look and the listening lies a moment in which two deployments that start at once could both pass.
 *
 * @param holder asked who holds a port that is taken.
 */
export async function listen(
  server: Server,
  at: ListenAddress,
  holder: () => Promise<Holder>,
  clock: Clock,
): Promise<Listening> {
  for (let left = TRIES; ; left -= 1) {
    const taken = at.port === 0 ? undefined : await tryListen(server, at, false)
    if (taken === undefined) {
      // It was free. Opened again, shared this time; until now whoever asked was refused.
      if (at.port !== 0) await unlisten(server)
      const raced = await listenShared(server, at)
      if (raced === undefined) return { address: addressOf(server), beside: false }
      if (left <= 1) throw raced
    } else {
      const who = await holder()
      if (who === 'stranger' || left <= 1) throw taken
      if (who === 'sibling') {
        const refused = await listenShared(server, at)
        if (refused === undefined) return { address: addressOf(server), beside: true }
        if (left <= 1) throw refused
      }
    }
    await clock.sleep(AGAIN_MS)
  }
}

/** Where the system has no SO_REUSEPORT with spreading (macOS, Windows), the port is this process's alone. */
async function listenShared(server: Server, at: ListenAddress): Promise<Error | undefined> {
  try {
    return await tryListen(server, at, true)
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'ENOTSUP') throw e
    return tryListen(server, at, false)
  }
}

/** Resolves with the error where the port is taken; rejects for every other reason. */
function tryListen(server: Server, at: ListenAddress, reusePort: boolean): Promise<Error | undefined> {
  return new Promise((resolve, reject) => {
    const failed = (e: NodeJS.ErrnoException): void => {
      server.off('listening', done)
      if (e.code === 'EADDRINUSE') resolve(e)
      else reject(e)
    }
    const done = (): void => {
      server.off('error', failed)
      resolve(undefined)
    }
    server.once('error', failed)
    server.once('listening', done)
    const options: ListenOptions = { host: at.host, port: at.port, reusePort }
    server.listen(options)
  })
}

/**
 * Closes the look at the port, in the very round of the loop that opened it: nobody has been accepted yet, so nobody is
 * waited for. Not http's own close, which would also cut connections.
 */
async function unlisten(server: Server): Promise<void> {
  NetServer.prototype.close.call(server)
  await new Promise((resolve) => setImmediate(resolve))
}

function addressOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
}
