import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
import { createServer as createNetServer, type Server as NetServer, type Socket } from 'node:net'
import { STATUS_CODES, createServer } from '../middleware/node-http.ts'
import type { Clock } from '../middleware/types.ts'
import { serveFastPath, type Connection, type FastPathDeps } from './fast-path.ts'
import { shut } from './shut.ts'
import type { Traffic } from './traffic.ts'

/** A listener, as far as its end goes: last call, shut, finish, in this order. */
export interface Door {
  /** Whoever is answered from now on is told to take another connection next time. */
  readonly lastCall: () => void
  /** No new connections. */
  shut(): Promise<void>
  /** Resolves when the last connection has ended by itself, or was cut because `cut` aborted. After `shut`. */
  finish(cut: AbortSignal): Promise<void>
}

export interface HttpDoor extends Door {
  /** What listens, and takes connections. */
  readonly server: NetServer
  /** What reads requests. */
  readonly http: Server
}

export interface HttpDoorDeps {
  readonly clock: Clock
  readonly traffic: Traffic | undefined
  /** What is answered before node:http sees it; undefined where nothing is. */
  readonly fastPath?: FastPathDeps['answer']
}

/** Over 16 kB of headers Node says 431 to that request alone; a client that sends slowly holds nothing for long. */
export const SERVER_LIMITS = {
  maxHeaderSize: 16_384,
  headersTimeout: 15_000,
  requestTimeout: 0,
  keepAliveTimeout: 120_000,
  // A request without a Host is refused by us, in our own words, and not by Node in its own.
  requireHostHeader: false,
}

/** A connection on which nothing came yet: its first request may be on its way, or a browser opened it ahead. */
const MUTE_MS = 1000

/** What a client that was said goodbye has to close its end. */
const LINGER_MS = 5000

/** An HTTP/1.1 listener. `Connection: close` on each last answer lets clients move without a request lost (RFC 9112 §9.6). */
export function createHttpDoor(
  options: ServerOptions,
  serve: (req: IncomingMessage, res: ServerResponse) => void,
  o: HttpDoorDeps,
): HttpDoor {
  const inHand = new Set<ServerResponse>()
  const sockets = new Map<Socket, Connection>()
  let last = false
  // One function for all answers: it comes once to each.
  function closed(this: ServerResponse): void {
    inHand.delete(this)
    const at = sockets.get(this.req.socket)
    if (at === undefined) return
    at.requests -= 1
    at.served = true
  }
  const http = createServer({ ...SERVER_LIMITS, ...options }, (req, res) => {
    o.traffic?.seen()
    if (last) res.shouldKeepAlive = false
    inHand.add(res)
    const at = sockets.get(req.socket)
    if (at !== undefined) at.requests += 1
    res.on('close', closed)
    serve(req, res)
  })
  http.on('checkExpectation', (_req: IncomingMessage, res: ServerResponse) => {
    res.writeHead(417, { 'X-BFF-Error': 'BAD_REQUEST', 'Content-Length': '0', Connection: 'close' }).end()
  })
  const admit = (socket: Socket): Connection => {
    let at = sockets.get(socket)
    // One that the fast path gives up has been here before.
    if (at !== undefined) return at
    o.traffic?.seen()
    at = { since: o.clock.monoMs(), requests: 0, served: false }
    sockets.set(socket, at)
    let linger: NodeJS.Timeout | undefined
    // An answer of ours to what is no request, or to a handshake, ends our side alone: a client that leaves its own open would
    // hold a file handle for good.
    socket.once('finish', () => (linger = setTimeout(() => socket.destroy(), LINGER_MS).unref()))
    socket.once('close', () => {
      clearTimeout(linger)
      sockets.delete(socket)
    })
    return at
  }
  http.on('connection', admit)
  // A WebSocket is its proxy's to end.
  http.on('upgrade', (req) => {
    const at = sockets.get(req.socket)
    if (at !== undefined) at.requests += 1
  })
  http.on('clientError', (e: NodeJS.ErrnoException, socket: Socket) => {
    if (e.code === 'ECONNRESET' || !socket.writable || (sockets.get(socket)?.requests ?? 0) > 0) socket.destroy()
    else socket.end(unreadable(e.code))
  })
  const sweep = (): void => {
    for (const [socket, at] of sockets)
      if (at.requests === 0 && socket.writableLength === 0 && (at.served || o.clock.monoMs() - at.since > MUTE_MS))
        socket.destroy()
  }
  const { fastPath } = o
  const server =
    fastPath === undefined
      ? http
      : listenBefore(http, (socket) =>
          serveFastPath(socket, admit(socket), {
            answer: (request, peer) => {
              o.traffic?.seen()
              return fastPath(request, peer)
            },
            handOver: (it) => http.emit('connection', it),
            isLast: () => last,
            headersTimeoutMs: SERVER_LIMITS.headersTimeout,
            keepAliveTimeoutMs: SERVER_LIMITS.keepAliveTimeout,
            idleTimeoutMs: http.keepAliveTimeout + http.keepAliveTimeoutBuffer,
          }),
        )
  return {
    server,
    http,
    lastCall: () => {
      last = true
      for (const res of inHand) if (!res.headersSent) res.shouldKeepAlive = false
    },
    shut: () => shut(server),
    finish: async (cut) => {
      while (sockets.size > 0 && !cut.aborted) {
        // One that falls idle only now would be kept for the next request, which never comes.
        sweep()
        if (sockets.size > 0) await o.clock.sleep(20, cut)
      }
      for (const socket of sockets.keys()) socket.destroy()
      // Ends what http keeps beside the socket.
      http.close()
    },
  }
}

/** A listener that takes connections in place of an HTTP server's own, as that would. */
function listenBefore(http: Server, take: (socket: Socket) => void): NetServer {
  const server = createNetServer({ allowHalfOpen: true, noDelay: true }, take)
  // Its timeouts begin with this event.
  server.once('listening', () => http.emit('listening'))
  return server
}

/** What Node itself refuses is an answer of ours like any other no. */
function unreadable(code: string | undefined): string {
  const status = code === 'HPE_HEADER_OVERFLOW' ? 431 : code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nX-BFF-Error: BAD_REQUEST\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`
}
