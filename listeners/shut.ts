import { Server } from 'node:net'

/** So long is waited for one more connection before the listener is closed without. */
const LAST_MS = 20
/** A queue that never empties is closed all the same. */
const ROUNDS = 5000

/**
 * Closes a listening socket so that the fewest connections are lost. What the kernel has accepted and we have not is reset
 * by a close, also where a successor listens on the same port. So the queue is first cut to its least, then emptied (libuv
 * takes one connection a round); then the listener closes in the very callback of the next connection, when the queue is
 * empty but for a few microseconds, or after a moment in which none came. A connection that finds the short queue full is
 * no loss: its SYN is sent again, to the successor. `sysctl net.ipv4.tcp_migrate_req=1` (Linux 5.14) makes the kernel hand
 * queues over by itself.
 */
export async function shut(server: Server): Promise<void> {
  if (!server.listening) return
  shortenQueue(server)
  await emptied(server)
  await new Promise<void>((resolve) => {
    let done = false
    const close = (): void => {
      // The timer's call may already be on its way when a connection comes, and the server may listen again by then.
      if (done) return
      done = true
      clearTimeout(timer)
      server.off('connection', close)
      // Not http's own close: that also cuts connections whose first request is on its way.
      if (server.listening) Server.prototype.close.call(server)
      resolve()
    }
    server.prependOnceListener('connection', close)
    const timer = setTimeout(() => setImmediate(close), LAST_MS)
  })
}

/** Resolves after a round of the loop that brought no connection. */
async function emptied(server: Server): Promise<void> {
  let came = true
  const seen = (): void => {
    came = true
  }
  server.on('connection', seen)
  for (let round = 0; came && round < ROUNDS; round += 1) {
    came = false
    await new Promise((resolve) => setImmediate(resolve))
    if (round === 0) came = true
  }
  server.off('connection', seen)
}

/** Node has no public call for listen(2) on a socket that listens already; where its handle has none either, it stays as it is. */
function shortenQueue(server: Server): void {
  const { _handle: handle } = server as Server & { readonly _handle?: { listen?(backlog: number): number } | null }
  try {
    handle?.listen?.(0)
  } catch {
    // The queue stays long, which costs a few resets at most.
  }
}
