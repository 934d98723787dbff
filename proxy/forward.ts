import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { ProxyServer } from 'http-proxy'
import type { TokenId } from '../middleware/types.ts'
import { addressOf } from './address.ts'
import type { Agents } from './agents.ts'
import { hasBody, isReplayable } from './check-request.ts'
import { UpstreamTimeout, failureOf } from './failure.ts'
import { buildRequestHeaders, type OutgoingHeaders } from './request-headers.ts'
import { buildResponseHeaders, isFinalStatus } from './response-headers.ts'
import type { Streams } from './streams.ts'
import type { Handshake } from './upgrade.ts'
import { DEFAULT_TIMEOUT_MS, type Forward, type Headers, type ProxyDeps, type UpstreamTarget } from './types.ts'
import { writeAnswer } from './write-answer.ts'

export interface Exchange {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  verdict: Forward
  /** Told of the upstream's answer, and of what went wrong before it. */
  onResponse: (proxyRes: IncomingMessage) => void
  onError: (e: unknown) => void
  proxyReq: ClientRequest | undefined
}

const EXCHANGE = Symbol('exchange')
type Carrier = IncomingMessage & { [EXCHANGE]?: Exchange }

/** The exchange that a request is in, kept on the request itself. */
export function exchangeOf(req: IncomingMessage): Exchange | undefined {
  return (req as Carrier)[EXCHANGE]
}

export interface ForwardContext {
  readonly deps: ProxyDeps
  readonly server: ProxyServer
  readonly agents: Agents
  readonly handshakes: WeakMap<IncomingMessage, Handshake>
  readonly streams: Streams
}

/** How much of a rejected answer is read away so that its connection can serve the second try. */
const DISCARD_BYTES = 65_536

/** What httpxy reads a request's body from where there is none: it only pipes it, and a stream with nothing in it is dear. */
const NO_BODY = {
  pipe: (to: ClientRequest) => {
    to.end()
    return to
  },
} as unknown as Readable

/** Forwards one request. Resolves when the answer is on its way or the client has been told why not; never rejects. */
export async function forward(
  req: IncomingMessage,
  res: ServerResponse,
  verdict: Forward,
  cx: ForwardContext,
): Promise<void> {
  // httpxy and we listen for its end, once a try.
  res.setMaxListeners(30)
  const first = await tryOnce(req, res, verdict, cx, hasBody(req) ? undefined : NO_BODY)
  if (first === undefined) return
  if (first.statusCode !== 401 || verdict.token === undefined) {
    pass(first, res, verdict, cx, [])
    return
  }
  const second = isReplayable(req) ? await again(req, res, verdict.token.id, first, cx) : { verdict, answer: first }
  if (second === undefined) return
  const rejected: Headers = second.answer.statusCode === 401 ? [['X-BFF-Error', 'UPSTREAM_REJECTED_TOKEN']] : []
  if (rejected.length > 0) {
    const { service, routeId, correlationId } = second.verdict
    cx.deps.emit({ name: 'upstream_rejected_token', correlationId, fields: { service, route: routeId } })
  }
  pass(second.answer, res, second.verdict, cx, rejected)
}

/** R12: asks the decision for a fresh token, and tries once more with it. Its own no, where it has none, does not hide the upstream's. */
async function again(
  req: IncomingMessage,
  res: ServerResponse,
  rejected: TokenId,
  first: IncomingMessage,
  cx: ForwardContext,
): Promise<{ readonly verdict: Forward; readonly answer: IncomingMessage } | undefined> {
  const before = exchangeOf(req)?.verdict
  const next = await cx.deps.decide(req, rejected)
  if (before === undefined || res.destroyed) return undefined
  if (next.kind !== 'forward' || next.token === undefined || next.token.id === rejected)
    return { verdict: before, answer: first }
  discard(first)
  const verdict = { ...next, target: before.target }
  const answer = await tryOnce(req, res, verdict, cx, NO_BODY)
  return answer === undefined ? undefined : { verdict, answer }
}

/** Reads a little of an answer that nobody wants, or cuts it; without httpxy's own rule that a cut one cuts the client. */
function discard(answer: IncomingMessage): void {
  answer.removeAllListeners('close')
  let left = DISCARD_BYTES
  answer.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) answer.destroy()
  })
  answer.on('error', () => undefined)
}

/** One try: undefined where the client was answered already, or has gone. */
function tryOnce(
  req: IncomingMessage,
  res: ServerResponse,
  verdict: Forward,
  cx: ForwardContext,
  body: Readable | undefined,
): Promise<IncomingMessage | undefined> {
  return new Promise((resolve) => {
    const timer = timeOut(req, body, verdict.timeoutMs ?? DEFAULT_TIMEOUT_MS, () =>
      exchange.onError(new UpstreamTimeout('no answer in time')),
    )
    const done = (result: IncomingMessage | undefined): void => {
      timer.stop()
      exchange.onError = () => undefined
      resolve(result)
    }
    const exchange: Exchange = {
      req,
      res,
      verdict,
      proxyReq: undefined,
      onResponse: (answer) => {
        // Everything that this answer does from now on is about the body.
        if (isFinalStatus(answer.statusCode)) done(answer)
        else exchange.onError(new Error('a status that is none'))
      },
      onError: (e) => {
        const { code, status } = failureOf(e)
        done(undefined)
        exchange.proxyReq?.destroy()
        if (res.destroyed) return
        // After the head an error cuts: a body that ends early must not look whole.
        if (res.headersSent) res.destroy()
        else writeAnswer(req, res, cx.deps.errorAnswer(code, status, req))
      },
    }
    ;(req as Carrier)[EXCHANGE] = exchange
    res.once('close', () => done(undefined))
    send(exchange, cx, body)
  })
}

function send(x: Exchange, cx: ForwardContext, body: Readable | undefined): void {
  const { target } = x.verdict
  const agent = target.base.protocol === 'https:' ? cx.agents.https : cx.agents.http
  const options = {
    target: addressOf(target.base),
    agent,
    selfHandleResponse: true,
    ...(body === undefined ? {} : { buffer: body }),
  }
  withRequest(x.req, buildRequestHeaders(x.req, x.verdict), target, () => cx.server.web(x.req, x.res, options)).catch(
    (e: unknown) => x.onError(e),
  )
}

/** The time counts from when the request has been sent whole, so that a long upload is not a slow answer. */
function timeOut(req: IncomingMessage, body: Readable | undefined, ms: number, late: () => void): { stop(): void } {
  let timer: NodeJS.Timeout | undefined
  const begin = (): void => {
    timer = setTimeout(late, ms)
  }
  if (body !== undefined || req.complete) begin()
  else req.once('end', begin)
  return {
    stop: () => {
      clearTimeout(timer)
      req.off('end', begin)
    },
  }
}

function pass(answer: IncomingMessage, res: ServerResponse, v: Forward, cx: ForwardContext, more: Headers): void {
  const headers = [...buildResponseHeaders(answer, v.target, cx.deps.cookieName), ...more]
  try {
    res.sendDate = false
    res.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', headers.flat())
  } catch {
    // A header that Node will not write: the upstream talks nonsense.
    answer.removeAllListeners('close')
    answer.destroy()
    const { code, status } = failureOf(undefined)
    writeAnswer(res.req, res, cx.deps.errorAnswer(code, status, res.req))
    return
  }
  // Node holds the head until the first byte of the body: an event stream would open when its first event comes. What has come
  // with the head already goes out with it.
  setImmediate(() => {
    if (!res.destroyed && !res.writableEnded) res.flushHeaders()
  })
  if ((answer.headers['content-type'] ?? '').toLowerCase().startsWith('text/event-stream'))
    keepAsStream(answer, res, v, cx)
  answer.pipe(res, { end: false })
  answer.once('end', () => {
    // A message that was cut does not end: what arrives here is whole.
    const trailers = Object.entries(answer.trailers).filter(
      ([name]) => !/^(?:set-cookie|x-bff-error|authorization)$/i.test(name),
    )
    if (trailers.length > 0 && answer.headers['content-length'] === undefined)
      res.addTrailers(trailers.map(([name, value]): [string, string] => [name, value ?? '']))
    res.end()
  })
}

function keepAsStream(answer: IncomingMessage, res: ServerResponse, v: Forward, cx: ForwardContext): void {
  const ended = cx.streams.add({
    sessionId: v.sessionId,
    until: v.openUntil,
    recheck: v.recheck === undefined ? undefined : () => v.recheck?.(),
    end: () => {
      // An event stream has no end of its own: the browser connects again, and is told then.
      answer.removeAllListeners('close')
      answer.unpipe(res)
      answer.destroy()
      res.end()
    },
  })
  res.once('close', ended)
}

/**
 * httpxy builds the outgoing request from `headers` and `url`, at once; afterwards the request says again what came, since the
 * decision may be asked a second time.
 */
export function withRequest<T>(
  req: IncomingMessage,
  headers: OutgoingHeaders,
  target: UpstreamTarget,
  call: () => T,
): T {
  const came = { headers: req.headers, url: req.url }
  req.headers = headers
  req.url = target.query === '' ? target.path : `${target.path}?${target.query}`
  try {
    return call()
  } finally {
    req.headers = came.headers
    if (came.url !== undefined) req.url = came.url
  }
}
