import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import {
  serveHttp2,
  type Http2Request,
  type Http2Session,
  type SessionDeps,
  type SessionLimits,
} from '../../listeners/http2/session.ts'
import { systemClock } from '../../middleware/clock.ts'
import type { Answer, Maybe } from '../../middleware/types.ts'

const LIMITS: SessionLimits = {
  maxConcurrentStreams: 5,
  maxHeaderListSize: 65_535,
  maxHeaderLines: 100,
  maxBlockBytes: 131_072,
  maxBlockFrames: 64,
  misuseBurst: 1000,
  misusePerS: 33,
  headersTimeoutMs: 15_000,
}

export const OK: Answer = { status: 200, headers: [['Content-Length', '0']] }

/** Our HTTP/2 without TLS, on a port of its own. */
export interface Http2Door {
  readonly port: number
  /** The server's sides of its connections, and what is served on them. */
  readonly sockets: readonly Socket[]
  readonly sessions: readonly Http2Session[]
  /** As they came; a test may empty it. */
  readonly requests: Http2Request[]
  readonly bugs: readonly unknown[]
  readonly close: () => void
}

export async function openHttp2Door(
  serve: (request: Http2Request) => Maybe<Answer> = () => OK,
  limits: Partial<SessionLimits> = {},
): Promise<Http2Door> {
  const [sockets, sessions, requests, bugs]: [Socket[], Http2Session[], Http2Request[], unknown[]] = [[], [], [], []]
  const deps: SessionDeps = {
    limits: { ...LIMITS, ...limits },
    clock: systemClock,
    serve: (request) => {
      requests.push(request)
      return serve(request)
    },
    bug: (e) => bugs.push(e),
  }
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    sockets.push(socket)
    sessions.push(serveHttp2(socket, deps))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const close = (): void => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return { port, sockets, sessions, requests, bugs, close }
}
