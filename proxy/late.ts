import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { bugIn } from '../middleware/bug.ts'
import { createLate, nextTurn } from '../middleware/late.ts'
import type { Proxy } from './proxy.ts'
import type { ProxyDeps } from './types.ts'
import { writeAnswer, writeAnswerRaw } from './write-answer.ts'

/** A {@link Proxy} that may not be loaded yet. */
export interface LateProxy extends Omit<Proxy, 'stats' | 'load'> {
  /** Whole, what the first request to an upstream needs too. Never rejects. */
  readonly load: () => Promise<void>
}

/**
 * No check needs the proxy, so it is loaded when the listeners are up. A request that comes before waits for it, and is decided
 * only then: nothing ends between its decision and its forwarding.
 */
export function createLateProxy(deps: ProxyDeps): LateProxy {
  let closed = false
  const late = createLate(async () => {
    const { createProxy } = await import('./proxy.ts')
    const proxy = createProxy(deps)
    if (closed) proxy.close()
    return proxy
  })
  const bug = (e: unknown): void => deps.emit(bugIn('proxy', e))
  const whenLoaded = (act: (proxy: Proxy) => void, failed: () => void): void => {
    const now = late.now()
    if (now !== undefined) act(now)
    else
      void late.load().then(act, (e: unknown) => {
        bug(e)
        failed()
      })
  }
  return {
    handleRequest: (req: IncomingMessage, res: ServerResponse) =>
      whenLoaded(
        (proxy) => {
          // The client may have gone meanwhile.
          if (!res.destroyed) proxy.handleRequest(req, res)
        },
        () => writeAnswer(req, res, deps.errorAnswer('INTERNAL_ERROR', 500, req)),
      ),
    handleUpgrade: (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => socket.destroy())
      whenLoaded(
        (proxy) => proxy.handleUpgrade(req, socket, head),
        () => writeAnswerRaw(socket, deps.errorAnswer('INTERNAL_ERROR', 500, req)),
      )
    },
    drain: () => late.now()?.drain(),
    close: () => {
      closed = true
      late.now()?.close()
    },
    load: async () => {
      try {
        const proxy = await late.load()
        await nextTurn()
        if (!closed) proxy.load()
      } catch (e) {
        bug(e)
      }
    },
  }
}
