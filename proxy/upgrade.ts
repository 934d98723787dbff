import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { addressOf } from './address.ts'
import { UpstreamTimeout, failureOf } from './failure.ts'
import type { ForwardContext } from './forward.ts'
import { closeFrame, createFrameTracker } from './frames.ts'
import { append, buildUpgradeHeaders, eachHeader } from './request-headers.ts'
import { buildResponseHeaders, isFinalStatus } from './response-headers.ts'
import { DEFAULT_TIMEOUT_MS, type Forward } from './types.ts'
import { writeAnswerRaw } from './write-answer.ts'

/** RFC 6455 §7.4.1: 1008 policy violation; 1001 going away. */
const CLOSE_SESSION = { code: 1008, reason: 'session ended' }
const CLOSE_DRAIN = { code: 1001, reason: 'going away' }
/** How long a client has to answer a close frame before the socket is cut. */
const CLOSE_GRACE_MS = 500

/** Handshakes under way, so that the events of one server find their own. */
export interface Handshake {
  readonly socket: Duplex
  onRequest: (proxyReq: ClientRequest) => void
}

/** Forwards a WebSocket handshake, and then its bytes until either side, the session or the time ends. */
export function forwardUpgrade(
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  v: Forward,
  cx: ForwardContext,
  opened: (delta: 1 | -1) => void,
): void {
  const { target } = v
  let settled = false
  const fail = (e: unknown): void => {
    if (settled) return
    settled = true
    clearTimeout(timer)
    const { code, status } = failureOf(e)
    writeAnswerRaw(socket, cx.deps.errorAnswer(code, status, req))
  }
  let proxyReq: ClientRequest | undefined
  const timer = setTimeout(() => {
    fail(new UpstreamTimeout('no answer in time'))
    proxyReq?.destroy()
  }, v.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  const onRequest = (outgoing: ClientRequest): void => {
    proxyReq = outgoing
    outgoing.prependOnceListener('upgrade', (answer: IncomingMessage, upstream: Socket) => {
      // RFC 6455 §4.1: another protocol than the one asked for would be a tunnel of the upstream's choosing.
      if (answer.headers.upgrade?.toLowerCase() !== 'websocket') {
        fail(new Error('switched to another protocol'))
        upstream.destroy()
        return
      }
      settled = true
      clearTimeout(timer)
      filterHead(answer, v, cx, { connection: 'Upgrade', upgrade: 'websocket' })
      tie(socket, upstream, v, cx, opened)
    })
    outgoing.prependOnceListener('response', (answer: IncomingMessage) => {
      clearTimeout(timer)
      if (!isFinalStatus(answer.statusCode)) {
        fail(new Error('nonsense'))
        outgoing.destroy()
        return
      }
      settled = true
      filterHead(answer, v, cx, answer.statusCode === 401 && v.token !== undefined ? rejected(v, cx) : {})
    })
  }
  cx.handshakes.set(req, { socket, onRequest })
  const options = { target: addressOf(target.base), agent: false }
  const came = { headers: req.headers, url: req.url }
  // httpxy builds the handshake from these, at once; afterwards the request says again what came.
  req.headers = buildUpgradeHeaders(req, v)
  req.url = target.query === '' ? target.path : `${target.path}?${target.query}`
  try {
    cx.server.ws(req, socket as never, options, head).catch(fail)
  } finally {
    req.headers = came.headers
    if (came.url !== undefined) req.url = came.url
  }
  socket.once('close', () => {
    clearTimeout(timer)
    proxyReq?.destroy()
  })
}

function rejected(v: Forward, cx: ForwardContext): Record<string, string> {
  cx.deps.emit({
    name: 'upstream_rejected_token',
    correlationId: v.correlationId,
    fields: { service: v.service, route: v.routeId },
  })
  return { 'x-bff-error': 'UPSTREAM_REJECTED_TOKEN' }
}

/** httpxy writes the head from `headers`: what ends here goes, what switches the protocol is said by us. */
function filterHead(answer: IncomingMessage, v: Forward, cx: ForwardContext, more: Record<string, string>): void {
  const kept: Record<string, string | string[]> = {}
  eachHeader(buildResponseHeaders(answer.rawHeaders, v.target, cx.deps.cookieName), (_, lower, value) =>
    append(kept, lower, value),
  )
  const framing = answer.headers['transfer-encoding']
  answer.headers = {
    ...kept,
    ...(framing === undefined || more['upgrade'] !== undefined ? {} : { 'transfer-encoding': framing }),
    ...more,
  }
}

/** Two sockets, tied: one end is the other's, and the session's end is both's. */
function tie(client: Duplex, upstream: Socket, v: Forward, cx: ForwardContext, opened: (delta: 1 | -1) => void): void {
  const frames = createFrameTracker()
  upstream.on('data', (chunk: Buffer) => frames.feed(chunk))
  const until = lesser(
    v.openUntil,
    v.websocketMaxAgeMs === undefined ? undefined : cx.deps.clock.wallMs() + v.websocketMaxAgeMs,
  )
  const maxAge = v.websocketMaxAgeMs === undefined ? undefined : cx.deps.clock.wallMs() + v.websocketMaxAgeMs
  const ended = cx.streams.add({
    sessionId: v.sessionId,
    until,
    recheck: async () => lesser(await v.recheck?.(), maxAge),
    end: (why) => {
      const { code, reason } = why === 'drain' ? CLOSE_DRAIN : CLOSE_SESSION
      upstream.unpipe(client)
      // In the middle of a frame a close frame would be read as its payload.
      if (frames.atBoundary() && client.writable) client.end(closeFrame(code, reason))
      upstream.destroy()
      setTimeout(() => client.destroy(), CLOSE_GRACE_MS).unref()
    },
  })
  opened(1)
  const close = (): void => {
    ended()
    upstream.destroy()
    client.destroy()
  }
  let gone = false
  const once = (): void => {
    if (gone) return
    gone = true
    opened(-1)
    ended()
    // What the other side still has to say is said; then it ends too.
    setTimeout(close, CLOSE_GRACE_MS).unref()
  }
  client.once('close', () => {
    once()
    upstream.destroy()
  })
  upstream.once('close', once)
}

function lesser<T extends number>(a: T | undefined, b: number | undefined): T | undefined {
  if (a === undefined) return b as T | undefined
  return b === undefined ? a : (Math.min(a, b) as T)
}
