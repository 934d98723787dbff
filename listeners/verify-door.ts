import { constants } from 'node:crypto'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { Composed } from '../compose.ts'
import { bugIn } from '../middleware/bug.ts'
import { health } from '../middleware/endpoints/health.ts'
import { answerHttp1, rawFromHttp1 } from '../middleware/mouths/http1.ts'
import { rawFromStream } from '../middleware/mouths/http2.ts'
import type { Answer, Clock, Emit, Maybe, RawRequest } from '../middleware/types.ts'
import type { ListenAddress } from '../config/types.ts'
import { askByCertificate, createCertificates, type VerifyTls } from './certificates.ts'
import type { Holder } from './deployment.ts'
import { createHttpDoor, SERVER_LIMITS, type Door } from './door.ts'
import { serveHttp2, type Http2Request, type Http2Session, type SessionLimits } from './http2/session.ts'
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
 * Over 16 kB we say 431 ourselves; up to here a request is read for that. The client is told to send no more than this in all,
 * and refuses such a request itself. (Before it has read our settings it does not know: `maxHeaderBytes` at Traefik's entry
 * point.)
 */
const MAX_HEADER_LIST = 65_535
const MAX_HEADER_LINES = 1000

type Sessions = Map<Http2Session, 'open' | 'retiring'>

/** What a stranger may do is bounded as node:http2 bounds it. */
const FOR_A_STRANGER: SessionLimits = {
  maxConcurrentStreams: 250,
  maxHeaderListSize: MAX_HEADER_LIST,
  maxHeaderLines: MAX_HEADER_LINES,
  maxBlockBytes: 131_072,
  maxBlockFrames: 64,
  misuseBurst: 1000,
  misusePerS: 33,
  headersTimeoutMs: SERVER_LIMITS.headersTimeout,
}

/**
 * One session carries everybody's checks. What one client does (aborts, large headers) reaches us as resets and refused
 * streams of that session; to end it would be everybody's 500. A gateway is believed to be one, so its session gets bounds
 * that only a broken one meets.
 */
const FOR_A_GATEWAY: SessionLimits = {
  ...FOR_A_STRANGER,
  // Go counts streams that it has reset against this until a ping comes back, and dials more sessions when it is full; a dial
  // that is given up with its request is a 500 to those who wait for it too (seen at 250 and 3,000 aborts).
  maxConcurrentStreams: 10_000,
  // Traefik takes 1 MB of headers by default, and sends them on before it has read our settings.
  maxBlockBytes: 2_097_152,
  maxBlockFrames: 1000,
  misuseBurst: 100_000,
  misusePerS: 100_000,
}

/** After the notice that a session will end, so long for what its client has sent already. */
const NOTICE_MS = 200

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
    // Nagle's algorithm would hold an answer back until the one before is acknowledged.
    noDelay: true,
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
      for (const socket of sockets) socket.destroy()
      await ended
    },
  }
}

function openSession(socket: TLSSocket, sessions: Sessions, deps: VerifyDoorDeps): void {
  const gateway = socket.authorized || deps.current().generation.isTrustedPeer(socket.remoteAddress ?? '')
  const peer = {
    address: socket.remoteAddress ?? '',
    tls: true,
    // Only true where a client CA is set and the certificate is one of its own.
    certified: socket.authorized,
  }
  const session = serveHttp2(socket, {
    limits: gateway ? FOR_A_GATEWAY : FOR_A_STRANGER,
    clock: deps.clock,
    serve: (request) => {
      deps.traffic.seen()
      return serveRequest(request, peer, deps.current())
    },
    bug: (e) => deps.emit(bugIn('verify', e)),
  })
  sessions.set(session, 'open')
  const age = deps.sessionAgeMs * (0.8 + 0.4 * deps.jitter())
  const old = setTimeout(() => retire(session, sessions), age)
  old.unref()
  socket.once('close', () => {
    clearTimeout(old)
    sessions.delete(session)
  })
  if (!gateway) socket.setTimeout(SERVER_LIMITS.keepAliveTimeout, () => retire(session, sessions))
}

/** Says that no new streams are wanted, lets those on their way come, then ends the session with its last stream. */
function retire(session: Http2Session, sessions: Sessions): void {
  if (sessions.get(session) !== 'open') return
  sessions.set(session, 'retiring')
  session.goaway()
  setTimeout(() => session.close(), NOTICE_MS)
}

function serveRequest(request: Http2Request, peer: RawRequest['peer'], now: Composed): Maybe<Answer> {
  if (request.count > MAX_HEADER_LINES || request.size > SERVER_LIMITS.maxHeaderSize) return no(now, 'BAD_REQUEST', 431)
  if (request.badValue) return no(now, 'BAD_REQUEST', 400)
  return answerTo(rawFromStream(request.lines, peer), now)
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
