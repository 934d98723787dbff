import { Server } from 'node:net'

/** So long is waited for one more connection before the listener is closed without. */
const LAST_MS = 20
/** A queue that never empties is closed all the same. */
const ROUNDS = 5000

/**
 * Closes a listening socket so that the fewest connections are lost. What the kernel has accepted and we have not is reset
 * by a close, also where a successor listens on the same port. So the queue is first cut to its least, then emptied (libuv
 * takes one connection a round); then the listener closes in the very call that brings the next connection, when the queue is
 * empty but for a few microseconds, or after a moment in which none came. A connection that finds the short queue full is
 * no loss: its SYN is sent again, to the successor. `sysctl net.ipv4.tcp_migrate_req=1` (Linux 5.14) makes the kernel hand
 * queues over by itself.
 */
export async function shut(server: Server): Promise<void> {
  if (!server.listening) return
  const handle = handleOf(server)
  let came = 0
  let last = false
  let wake = (): void => undefined
  // All in one function, which is compiled by the first connection and not by the last.
  onEachConnection(server, handle, () => {
    came += 1
    if (last) handle.close?.()
    last = false
    wake()
  })
  const another = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve
      setTimeout(() => setImmediate(resolve), LAST_MS)
    })
  shortenQueue(handle)
  await another()
  // The first of two may be the end of a round that has begun, without a look at the queue.
  for (let round = 0, quiet = 0; quiet < 2 && round < ROUNDS; round += 1) {
    const before = came
    await new Promise((resolve) => setImmediate(resolve))
    quiet = came === before ? quiet + 1 : 0
  }
  last = true
  await another()
  // Not http's own close: that also cuts connections whose first request is on its way.
  if (handleOf(server) === handle) Server.prototype.close.call(server)
}

/** What Node has beneath a server; of none of it a public form. */
interface Handle {
  /** listen(2), also on a socket that listens already. */
  readonly listen?: (backlog: number) => number
  readonly close?: () => void
  /** Called with each accepted connection, before it becomes a Socket. */
  onconnection?: (...args: unknown[]) => unknown
}

const NO_HANDLE: Handle = {}

function handleOf(server: Server): Handle {
  return (server as Server & { readonly _handle?: Handle | null })._handle ?? NO_HANDLE
}

/** `seen` comes before the connection is made a Socket, which takes as long as all the rest. */
function onEachConnection(server: Server, handle: Handle, seen: () => void): void {
  const take = handle.onconnection
  if (take === undefined) {
    server.prependListener('connection', seen)
    return
  }
  handle.onconnection = function (this: unknown, ...args: unknown[]) {
    seen()
    return take.apply(this, args)
  }
}

/** Where the handle has no such call the queue stays long, which costs a few resets at most. */
function shortenQueue(handle: Handle): void {
  try {
    handle.listen?.(0)
  } catch {
    // As above.
  }
}
