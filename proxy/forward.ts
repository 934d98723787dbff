import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ProxyServer } from 'http-proxy'
import type { Dispatcher } from 'undici'
import { bugIn } from '../middleware/bug.ts'
import type { TokenId } from '../middleware/types.ts'
import { bodyOf } from './body.ts'
import { hasBody, isChunked, isReplayable } from './check-request.ts'
import type { Connection, Connections } from './connections.ts'
import { UpstreamTimeout, failureOf } from './failure.ts'
import { buildRequestHeaders } from './request-headers.ts'
import { buildResponseHeaders, isFinalStatus } from './response-headers.ts'
import type { Streams } from './streams.ts'
import type { Handshake } from './upgrade.ts'
import { DEFAULT_TIMEOUT_MS, type Forward, type ProxyDeps } from './types.ts'
import { writeAnswer } from './write-answer.ts'

export interface ForwardContext {
  readonly deps: ProxyDeps
  /** For handshakes alone. */
  readonly server: ProxyServer
  readonly handshakes: WeakMap<IncomingMessage, Handshake>
  readonly connections: Connections
  readonly streams: Streams
}

/** How much of a rejected answer is read away so that its connection can serve the next request. */
const DISCARD_BYTES = 65_536

/** A body that is worth to be copied, if that saves a write. */
const SHORT_BYTES = 4096

/** Forwards one request: the client gets the upstream's answer, or is told why there is none. */
export function forward(req: IncomingMessage, res: ServerResponse, verdict: Forward, cx: ForwardContext): void {
  // Left while the decision was made: its end will not be told again.
  if (!res.destroyed) new Try(req, res, verdict, cx, true).begin()
}

type State =
  /** The head of the answer has not come. */
  | 'asking'
  /** A 401 that may not stand: its body waits. */
  | 'doubting'
  | 'passing'
  /** Another try's answer goes to the client. */
  | 'discarding'
  | 'over'

type Controller = Dispatcher.DispatchController
/** By lower-case name, as undici reads them. */
type Parsed = Readonly<Record<string, string | string[] | undefined>>

interface Head {
  readonly status: number
  readonly reason: string
  /** Names and values in turn, as they came. */
  readonly lines: readonly string[]
  readonly isEventStream: boolean
}

/** One request to the upstream and its answer, which undici tells of here. */
class Try implements Dispatcher.DispatchHandler {
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #verdict: Forward
  readonly #cx: ForwardContext
  /** The second is the last, and has no body: only what has none is tried again. */
  readonly #isFirst: boolean
  #state: State = 'asking'
  #connection: Connection | undefined
  #waitNoLonger: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #streamEnded: (() => void) | undefined
  #controller: Controller | undefined
  /** The begin of the body where it came with the head: both go out together. */
  #held: Buffer | undefined
  #isFlushed = false
  #discarded = 0
  /** What came of the body in spite of the pause, because its upstream has closed. */
  #early: Buffer[] = []
  #earlyEnd: Parsed | undefined

  constructor(req: IncomingMessage, res: ServerResponse, verdict: Forward, cx: ForwardContext, isFirst: boolean) {
    this.#req = req
    this.#res = res
    this.#verdict = verdict
    this.#cx = cx
    this.#isFirst = isFirst
  }

  begin(): void {
    this.#res.once('close', () => this.#close())
    // From when the request has been sent whole, so that a long upload is not a slow answer.
    if (this.#req.complete || !this.#sendsBody()) this.#startTimer()
    else this.#req.once('end', () => this.#startTimer())
    this.#waitNoLonger = this.#cx.connections.take(this.#verdict.target.base, (connection) => this.#send(connection))
  }

  onRequestStart(): void {
    // undici wants it; there is nothing to do.
  }

  onResponseStart(controller: Controller, status: number, headers: Parsed, reason = ''): void {
    if (this.#state !== 'asking') return
    if (status >= 100 && status < 200 && status !== 101) {
      if (status === 103 && headers['link'] !== undefined) passHints(this.#res, String(headers['link']))
      return
    }
    clearTimeout(this.#timer)
    this.#controller = controller
    // Among them a 101 that nobody asked for.
    if (!isFinalStatus(status)) {
      this.#fail(new Error('a status that is none'))
      return
    }
    const head: Head = {
      status,
      reason,
      lines: linesOf(controller.rawHeaders),
      isEventStream: String(headers['content-type'] ?? '')
        .toLowerCase()
        .startsWith('text/event-stream'),
    }
    if (status !== 401 || this.#verdict.token === undefined) this.#pass(head)
    else if (this.#isFirst && isReplayable(this.#req)) void this.#doubt(controller, head, this.#verdict.token.id)
    else this.#passRejected(head)
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    switch (this.#state) {
      case 'passing':
        if (!this.#isFlushed && this.#held === undefined) this.#held = chunk
        else {
          this.#flush()
          this.#write(controller, chunk)
        }
        break
      case 'doubting':
        this.#early.push(chunk)
        break
      case 'discarding':
        this.#discarded += chunk.length
        if (this.#discarded > DISCARD_BYTES) this.#giveUp()
        break
      case 'asking':
      case 'over':
        break
    }
  }

  onResponseEnd(_controller: Controller | undefined, trailers: Parsed): void {
    this.#connection?.free()
    this.#connection = undefined
    if (this.#state === 'doubting') {
      this.#earlyEnd = trailers
      return
    }
    if (this.#state === 'passing' && !this.#res.destroyed) this.#end(trailers)
    // Only now: what is thrown before comes back as an error, and cuts.
    this.#state = 'over'
  }

  onResponseError(_controller: Controller | null, e: Error): void {
    if (this.#state === 'discarding') this.#giveUp()
    else this.#fail(e)
  }

  #sendsBody(): boolean {
    return this.#isFirst && hasBody(this.#req)
  }

  #startTimer(): void {
    if (this.#state !== 'asking') return
    const late = (): void => this.#fail(new UpstreamTimeout('no answer in time'))
    this.#timer = setTimeout(late, this.#verdict.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  }

  #send(connection: Connection): void {
    this.#connection = connection
    const req = this.#req
    const { path, query } = this.#verdict.target
    const options: Dispatcher.DispatchOptions = {
      method: req.method ?? 'GET',
      path: query === '' ? path : `${path}?${query}`,
      headers: buildRequestHeaders(req, this.#verdict),
      body: null,
      blocking: false,
    }
    if (this.#sendsBody()) {
      options.body = bodyOf(req)
      // A body whose length nobody knows is the last of its connection.
      if (isChunked(req)) options.reset = true
    } else if (req.method === 'HEAD') {
      // undici would open a connection for each.
      options.reset = false
    }
    connection.send(options, this)
  }

  /** The client has gone, or has its whole answer. */
  #close(): void {
    this.#streamEnded?.()
    if (this.#state !== 'over') this.#giveUp()
  }

  #giveUp(): void {
    this.#state = 'over'
    clearTimeout(this.#timer)
    this.#waitNoLonger?.()
    this.#connection?.cut()
    this.#connection = undefined
  }

  #fail(e: unknown): void {
    if (this.#state === 'over') return
    this.#giveUp()
    const [req, res] = [this.#req, this.#res]
    if (res.destroyed) return
    // After the head an error cuts: a body that ends early must not look whole.
    if (res.headersSent) res.destroy()
    else {
      const { code, status } = failureOf(e)
      writeAnswer(req, res, this.#cx.deps.errorAnswer(code, status, req))
    }
  }

  /** R12: asks the decision for a fresh token, and tries once more with it. Its own no, where it has none, does not hide the upstream's. */
  async #doubt(controller: Controller, head: Head, rejected: TokenId): Promise<void> {
    this.#state = 'doubting'
    controller.pause()
    const next = await this.#decideAgain(rejected)
    // Gone meanwhile, which the compiler does not see.
    if ((this.#state as State) !== 'doubting') return
    if (next === undefined) this.#passRejected(head)
    else {
      this.#state = 'discarding'
      new Try(this.#req, this.#res, next, this.#cx, false).begin()
    }
    for (const chunk of this.#early.splice(0)) this.onResponseData(controller, chunk)
    if (this.#earlyEnd === undefined) controller.resume()
    else this.onResponseEnd(controller, this.#earlyEnd)
  }

  /** The same with another token; undefined where there is none. */
  async #decideAgain(rejected: TokenId): Promise<Forward | undefined> {
    const { deps } = this.#cx
    try {
      const next = await deps.decide(this.#req, rejected)
      if (next.kind !== 'forward' || next.token === undefined || next.token.id === rejected) return undefined
      return { ...next, target: this.#verdict.target }
    } catch (e) {
      deps.emit(bugIn('proxy', e))
      return undefined
    }
  }

  #passRejected(head: Head): void {
    const { service, routeId, correlationId } = this.#verdict
    this.#cx.deps.emit({ name: 'upstream_rejected_token', correlationId, fields: { service, route: routeId } })
    this.#pass(head, REJECTED)
  }

  #pass(head: Head, more: readonly string[] = []): void {
    const res = this.#res
    const lines = buildResponseHeaders(head.lines, this.#verdict.target, this.#cx.deps.cookieName)
    lines.push(...more)
    try {
      res.sendDate = false
      res.writeHead(head.status, VISIBLE.test(head.reason) ? head.reason : '', lines)
    } catch (e) {
      // A header that Node will not write: the upstream talks nonsense.
      this.#fail(e)
      return
    }
    this.#state = 'passing'
    // Node holds the head until the first byte of the body: an event stream would open when its first event comes. What has
    // come with the head already is told of before the next tick, and goes out with it.
    process.nextTick(flush, this)
    if (head.isEventStream) this.#keepAsStream()
  }

  /** Sends what is held back: the head, and the begin of the body if it has come. */
  flush(): void {
    if (this.#state === 'passing') this.#flush()
  }

  #flush(): void {
    if (this.#isFlushed || this.#res.destroyed) return
    this.#isFlushed = true
    const held = this.#held
    this.#held = undefined
    if (held === undefined) this.#res.flushHeaders()
    else if (this.#controller !== undefined) this.#write(this.#controller, held)
  }

  #write(controller: Controller, chunk: Buffer): void {
    const res = this.#res
    if (res.destroyed || res.write(chunk) || controller.paused) return
    controller.pause()
    res.once('drain', () => controller.resume())
  }

  #end(trailers: Parsed): void {
    const [res, held] = [this.#res, this.#held]
    if (Object.keys(trailers).length > 0) addTrailers(res, trailers)
    if (held === undefined) res.end()
    // As text it goes out in one piece with the head, which is cheaper than two.
    else if (held.length <= SHORT_BYTES) res.end(held.toString('latin1'), 'latin1')
    else res.end(held)
  }

  #keepAsStream(): void {
    const v = this.#verdict
    this.#streamEnded = this.#cx.streams.add({
      sessionId: v.sessionId,
      until: v.openUntil,
      recheck: v.recheck === undefined ? undefined : () => v.recheck?.(),
      end: () => {
        // An event stream has no end of its own: the browser connects again, and is told then.
        this.#flush()
        this.#giveUp()
        this.#res.end()
      },
    })
  }
}

const REJECTED = ['X-BFF-Error', 'UPSTREAM_REJECTED_TOKEN']

/** A reason that undici could read: it takes the bytes for UTF-8. */
const VISIBLE = /^[\t -~]*$/

function flush(t: Try): void {
  t.flush()
}

/** Header lines as they came, repeated ones apart, a byte a character. */
function linesOf(raw: Controller['rawHeaders']): string[] {
  return Array.isArray(raw) ? raw.map((text) => text.toString('latin1')) : []
}

/**
 * Early hints of the upstream. Node throws for a `Link` that it does not understand: nobody needs that one. Nor does a client
 * that takes nothing need more of them: nothing would bound how many wait for it. One of HTTP/1.0, which nginx is to those
 * behind it, would take them for the answer (RFC 9110 §15.2).
 */
function passHints(res: ServerResponse, link: string): void {
  if (res.headersSent || res.destroyed || res.socket?.writableNeedDrain === true) return
  if (res.req.httpVersion === '1.0') return
  try {
    res.writeEarlyHints({ link })
  } catch {
    // Hints are only hints.
  }
}

/** What must not come so late: who asks, what is ours, and how the answer is framed (RFC 9110 §6.5.1). */
const NO_TRAILER: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'set-cookie',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-bff-error',
])

function addTrailers(res: ServerResponse, trailers: Parsed): void {
  const lines = Object.entries(trailers).flatMap(([name, value]) =>
    NO_TRAILER.has(name) || value === undefined ? [] : [value].flat().map((v): [string, string] => [name, v]),
  )
  res.addTrailers(lines)
}
