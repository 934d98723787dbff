import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../middleware/types.ts'
import type { ProxyLimits } from './types.ts'

interface Watched {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  sent: number
  received: number
  sinceMonoMs: number | undefined
}

/** Looked at this often: a stalled client holds a third of a megabyte, not more, however long it stalls. */
const EVERY_MS = 1000

export interface Stalls {
  /** Returns how to say that the answer has ended. */
  add(req: IncomingMessage, res: ServerResponse): () => void
  readonly stalled: () => number
  close(): void
}

/**
 * Clients that take nothing of what waits for them, or announced a body and send none of it. Back-pressure holds the upstream
 * meanwhile, so each costs a connection and some memory: they are cut after a time, the longest-standing first when there are
 * too many.
 */
export function createStalls(limits: ProxyLimits, clock: Clock): Stalls {
  const watched = new Set<Watched>()
  let stalled = 0
  const look = (): void => {
    const now = clock.monoMs()
    const standing: Watched[] = []
    for (const w of watched) {
      if (!isStuck(w)) w.sinceMonoMs = undefined
      else {
        w.sinceMonoMs ??= now
        standing.push(w)
      }
    }
    standing.sort((a, b) => (a.sinceMonoMs ?? now) - (b.sinceMonoMs ?? now))
    standing.forEach((w, i) => {
      const tooLong = now - (w.sinceMonoMs ?? now) >= limits.stallTimeoutMs
      if (tooLong || standing.length - i > limits.maxStalled) w.res.destroy()
    })
    stalled = standing.length
  }
  const timer = setInterval(look, EVERY_MS).unref()
  return {
    add: (req, res) => {
      const w: Watched = { req, res, sent: 0, received: 0, sinceMonoMs: undefined }
      watched.add(w)
      return () => watched.delete(w)
    },
    stalled: () => stalled,
    close: () => clearInterval(timer),
  }
}

/** Nothing moved since the last look, though there was something to move. */
function isStuck(w: Watched): boolean {
  const { socket } = w.req
  const moved = socket.bytesRead !== w.received || socket.bytesWritten !== w.sent
  w.received = socket.bytesRead
  w.sent = socket.bytesWritten
  if (moved) return false
  return w.res.writableNeedDrain || (!w.req.complete && !w.res.headersSent)
}
