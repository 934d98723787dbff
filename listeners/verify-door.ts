import { constants } from 'node:crypto'
import {
  constants as h2,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { Composed } from '../compose.ts'
import { health } from '../middleware/endpoints/health.ts'
import { answerHttp1, rawFromHttp1 } from '../middleware/mouths/http1.ts'
import { headerBytes, rawFromStream, writeStream } from '../middleware/mouths/http2.ts'
import type { Answer, Clock, Emit, Maybe, RawRequest } from '../middleware/types.ts'
import type { ListenAddress } from '../config/types.ts'
import { askByCertificate, createCertificates, type VerifyTls } from './certificates.ts'
import type { Holder } from './deployment.ts'
import { createHttpDoor, SERVER_LIMITS, type Door } from './door.ts'
import { shut } from './shut.ts'
import type { Traffic } from './traffic.ts'
import { pathOf, verifyAnswer } from './verify.ts'

export interface VerifyDoor extends Door {
  readonly server: Server
  /** Who holds the port that it would listen on. */
  readonly ask: (at: ListenAddress) => Promise<Holder>
  readonly reload: (files: VerifyTls) => void
  /** Where it never listened. */
  readonly close: () => void
}

export interface VerifyDoorDeps {
  readonly tls: VerifyTls
  /** A session lives about so long; then its client opens another, perhaps to another replica. */
  readonly sessionAgeMs: number
  readonly current: () => Composed
  readonly clock: Clock
  readonly traffic: Traffic
  readonly emit: Emit
  /** 0 to 1. */
  readonly jitter: () => number
}

/**
 * Over 16 kB we say 431 ourselves; up to here a request is read for that. One field of more than 64 kB would be a compression
 * error to nghttp2, and the end of the whole session: the client is told to send no more than this in all, and refuses such a
 * request itself. (Before it has read our settings it does not know: `maxHeaderBytes` at Traefik's entry point.)
 */
const MAX_HEADER_LIST = 65_535
const MAX_HEADER_LINES = 1000

type Sessions = Map<ServerHttp2Session, 'open' | 'retiring'>

/** For strangers Node's own bounds on misuse hold. */
const COMMON: ServerOptions = {
  settings: { maxConcurrentStreams: 250, maxHeaderListSize: MAX_HEADER_LIST, enablePush: false },
  maxHeaderListPairs: 4000,
}

/**
 * One session carries everybody's checks. What one client does (aborts, large headers) reaches us as resets and refused
 * streams of that session, and Node would end it at 1,000 resets, 100 refused streams or 10 MB: everybody's 500. A gateway
 * is believed to be one, so its session gets bounds that only a broken one meets.
 */
const FOR_A_GATEWAY: ServerOptions = {
  ...COMMON,
  // Go counts streams that it has reset against this until a ping comes back, and dials more sessions when it is full; a dial
  // that is given up with its request is a 500 to those who wait for it too (seen at 250 and 3,000 aborts).
  settings: { ...COMMON.settings, maxConcurrentStreams: 10_000 },
  maxSessionMemory: 200,
  maxSessionInvalidFrames: 100_000,
  maxSessionRejectedStreams: 100_000,
  streamResetBurst: 100_000,
  streamResetRate: 100_000,
}

/** After the notice that a session will end, so long for what its client has sent already. */
const NOTICE_MS = 200
/** The highest stream id: "no new streams, but those that are on their way count" (RFC 9113 §6.8). */
const EVERY_STREAM = 2 ** 31 - 1

/** `/auth/verify` alone, over TLS: HTTP/2, and HTTP/1.1 for whoever offers no other. With a client CA nobody else gets in. */
export function createVerifyDoor(deps: VerifyDoorDeps): VerifyDoor {
  const sessions: Sessions = new Map()
  const sockets = new Set<Socket>()
  const certificates = createCertificates(deps.tls, (pair) => server.setSecureContext(contextOf(pair)), deps.emit)
  const contextOf = (pair: ReturnType<typeof certificates.current>): object => ({
    ...pair,
    minVersion: 'TLSv1.2',
    // No resumption: a ticket would outlive the CA that signed its client. Gateways keep their connections.
    secureOptions: constants.SSL_OP_NO_TICKET,
  })
  const mutual = deps.tls.clientCa !== undefined
  const server = createServer({
    ...contextOf(certificates.current()),
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: 10_000,
    requestCert: mutual,
    rejectUnauthorized: mutual,
  })
  const http1 = createHttpDoor({}, (req, res) => answerHttp1(req, res, answerTo(rawFromHttp1(req), deps.current())), {
    clock: deps.clock,
    traffic: deps.traffic,
  })
  // It is given its connections; its timeouts begin with this event.
  http1.http.emit('listening')
  server.on('connection', (socket) => {
    deps.traffic.seen()
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('secureConnection', (socket) => {
    socket.on('error', () => socket.destroy())
    if (socket.alpnProtocol === 'h2') openSession(socket, sessions, deps)
    else http1.http.emit('connection', socket)
  })
  return {
    server,
    ask: (at) => askByCertificate(at, certificates.current().cert),
    reload: certificates.reload,
    close: () => {
      certificates.close()
      http1.http.close()
    },
    lastCall: http1.lastCall,
    shut: () => shut(server),
    finish: async (cut) => {
      certificates.close()
      const ended = http1.finish(cut)
      while (sockets.size > 0 && !cut.aborted) {
        // A handshake may still have been under way.
        for (const session of sessions.keys()) retire(session, sessions)
        await deps.clock.sleep(20, cut)
      }
      for (const session of sessions.keys()) session.destroy()
      for (const socket of sockets) socket.destroy()
      await ended
    },
  }
}

function openSession(socket: TLSSocket, sessions: Sessions, deps: VerifyDoorDeps): void {
  const gateway = socket.authorized || deps.current().generation.isTrustedPeer(socket.remoteAddress ?? '')
  const session = performServerHandshake(socket, gateway ? FOR_A_GATEWAY : COMMON)
  sessions.set(session, 'open')
  const age = deps.sessionAgeMs * (0.8 + 0.4 * deps.jitter())
  const old = setTimeout(() => retire(session, sessions), age)
  old.unref()
  session.once('close', () => {
    clearTimeout(old)
    sessions.delete(session)
  })
  session.on('error', () => session.destroy())
  if (!gateway) session.setTimeout(SERVER_LIMITS.keepAliveTimeout, () => retire(session, sessions))
  const peer = {
    address: socket.remoteAddress ?? '',
    tls: true,
    // Only true where a client CA is set and the certificate is one of its own.
    certified: socket.authorized,
  }
  // The fourth argument: names and values as they came, repeated ones apart.
  session.on('stream', (stream, _headers, _flags, lines) => {
    deps.traffic.seen()
    serveStream(stream, lines, peer, deps.current())
  })
}

/** Says that no new streams are wanted, lets those on their way come, then ends the session with its last stream. */
function retire(session: ServerHttp2Session, sessions: Sessions): void {
  if (sessions.get(session) !== 'open') return
  sessions.set(session, 'retiring')
  session.goaway(h2.NGHTTP2_NO_ERROR, EVERY_STREAM)
  setTimeout(() => {
    if (!session.closed && !session.destroyed) session.close()
  }, NOTICE_MS)
}

function serveStream(
  stream: ServerHttp2Stream,
  lines: readonly string[],
  peer: RawRequest['peer'],
  now: Composed,
): void {
  stream.on('error', () => undefined)
  // A body (`forwardBody`) is read away: left alone it would use up the session's window.
  stream.resume()
  const raw = rawFromStream(lines, peer)
  const head = raw.method === 'HEAD'
  const answer =
    lines.length / 2 > MAX_HEADER_LINES || headerBytes(lines) > SERVER_LIMITS.maxHeaderSize
      ? no(now, 'BAD_REQUEST', 431)
      : answerTo(raw, now)
  if (answer instanceof Promise) void answer.then((a) => writeStream(stream, a, head))
  else writeStream(stream, answer, head)
}

/** Checks, and health for probes. Sign-in, proxied routes and all else are another listener's. */
function answerTo(raw: RawRequest, now: Composed): Maybe<Answer> {
  const path = pathOf(raw.target)
  if (now.verifyPaths.has(path)) return verifyAnswer(raw, now)
  const isHealth = path === `${now.generation.settings.server.basePath}/health`
  if (isHealth && (raw.method === 'GET' || raw.method === 'HEAD')) return health()
  return no(now, 'NO_ROUTE', 404)
}

function no(now: Composed, code: 'BAD_REQUEST' | 'NO_ROUTE', status: number): Answer {
  const asker = { wants: 'fetch', acceptLanguage: '', correlationId: '' } as const
  return now.verifyDeps.errorAnswer({ code, status }, asker)
}
