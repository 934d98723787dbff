import type { Socket } from 'node:net'
import { isWritable, valuesOf } from '../../middleware/mouths/header-lines.ts'
import type { Answer, Clock, Maybe } from '../../middleware/types.ts'
import { FrameReader, type BlockLimits } from './frame-reader.ts'
import { FrameWriter } from './frame-writer.ts'
import { AUTHORITY, HpackDecoder, METHOD, PATH, SCHEME } from './hpack-decoder.ts'
import { HpackEncoder } from './hpack-encoder.ts'
import { Misuse } from './misuse.ts'
import * as h2 from './protocol.ts'
import { Streams, type Stream } from './streams.ts'

/** The highest stream id: "no new streams, but those that are on their way count" (RFC 9113 §6.8). */
const EVERY_STREAM = h2.MAX_31_BITS
/** So many bytes are written at once at most, give or take an answer. */
const MAX_OUT = 262_144
/** With so many bytes unread by its client a session is not read either; nor for longer than so many ms. */
const MAX_UNSENT = 1_048_576
const UNSENT_MS = 60_000
/** After the last frame, so many ms for the client's end of the connection. */
const LINGER_MS = 1000
/** A session that closes waits so long for its last answers: a client may have no window for one, for ever. */
const CLOSING_MS = 60_000
/** So many streams that we have reset are known, should more of them come. */
const KNOWN_RESETS = 1000
const NOTHING = Buffer.alloc(0)

export interface SessionLimits extends BlockLimits {
  readonly maxConcurrentStreams: number
  /** Told to the client, in bytes as RFC 9113 §6.5.2 counts them. */
  readonly maxHeaderListSize: number
  /** So many fields of a request are told at most. */
  readonly maxHeaderLines: number
  /** Resets, errors and frames that only cost: so many at once, and so many a second. */
  readonly misuseBurst: number
  readonly misusePerS: number
  /** For the preface, and for each frame or header block that was begun. */
  readonly headersTimeoutMs: number
}

/** A request as its header block told it. */
export interface Http2Request {
  /** Names and values in turn as they came: pseudo fields first, names in lower case. */
  readonly lines: readonly string[]
  /** Fields that came, also those that are not told. */
  readonly count: number
  /** Characters of all names and values. */
  readonly size: number
  /**
   * A value is none that RFC 9113 §8.2.1 allows: to be answered with 400, as it says there. A stream error would be worse than
   * rude: Go's client takes PROTOCOL_ERROR for a reason to ask again over a new connection, thousands of times.
   */
  readonly badValue: boolean
}

export interface SessionDeps {
  readonly limits: SessionLimits
  readonly clock: Clock
  readonly serve: (request: Http2Request) => Maybe<Answer>
  /** A fault of ours: an answer that cannot be written, for one. */
  readonly bug: (e: unknown) => void
}

export interface Http2Session {
  /** Says that no new streams are wanted; those on their way are served yet. */
  goaway(): void
  /** Ends with the last answer in hand, or after a minute. */
  close(): void
}

/**
 * Serves an HTTP/2 connection (RFC 9113) as far as checks need it: requests whose bodies nobody wants, answers that are mostly
 * headers. What is read at once is answered at once, in one write, and a check that needs no waiting leaves no state behind.
 * node:http2 makes a stream, its events and its header objects of each request, which costs several times a check.
 */
export function serveHttp2(socket: Socket, deps: SessionDeps): Http2Session {
  const session = new Session(socket, deps)
  session.begin()
  return session
}

class Session implements Http2Session {
  private readonly socket: Socket
  private readonly deps: SessionDeps
  private readonly out = new FrameWriter()
  private readonly reader: FrameReader
  private readonly decoder = new HpackDecoder()
  private readonly encoder = new HpackEncoder()
  private readonly streams: Streams
  private readonly resets = new Set<number>()
  private readonly misuse: Misuse
  private lastStream = 0
  /** No stream above it is served. */
  private lastServed = EVERY_STREAM
  /** Answers that are being made, of streams that were given up too. */
  private inHand = 0
  /** Bytes of bodies since our last WINDOW_UPDATE. */
  private unacknowledged = 0
  private closing: NodeJS.Timeout | undefined
  private over = false
  private flushing: NodeJS.Immediate | undefined
  private waiting: NodeJS.Timeout | undefined
  private unsent: NodeJS.Timeout | undefined

  constructor(socket: Socket, deps: SessionDeps) {
    this.socket = socket
    this.deps = deps
    this.streams = new Streams(this.out)
    this.misuse = new Misuse(deps.limits.misuseBurst, deps.limits.misusePerS, deps.clock)
    this.reader = new FrameReader(
      {
        block: (id, ends, bytes, start, end) => this.block(id, ends, bytes, start, end),
        frame: (type, flags, id, bytes, start, end) => this.frame(type, flags, id, bytes, start, end),
        isFull: () => this.out.length > MAX_OUT,
      },
      deps.limits,
    )
  }

  begin(): void {
    const { limits } = this.deps
    this.out.head(h2.SETTINGS, 0, 0, 12)
    this.writeSetting(h2.MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams)
    this.writeSetting(h2.MAX_HEADER_LIST_SIZE, limits.maxHeaderListSize)
    this.flush()
    this.waitForWhole()
    this.socket.on('data', (chunk: Buffer) => this.read(chunk))
    // Before the socket's own, which ends our side, too.
    this.socket.prependOnceListener('end', () => this.flush())
    this.socket.once('close', () => this.end())
  }

  goaway(): void {
    if (this.over) return
    this.out.words(h2.GOAWAY, 0, 0, [EVERY_STREAM, h2.NO_ERROR])
    this.flush()
  }

  close(): void {
    if (this.over || this.closing !== undefined) return
    this.closing = setTimeout(() => this.fail(h2.NO_ERROR), CLOSING_MS).unref()
    this.lastServed = this.lastStream
    this.out.words(h2.GOAWAY, 0, 0, [this.lastStream, h2.NO_ERROR])
    this.flush()
    this.leaveIfDone()
  }

  private read(chunk: Buffer): void {
    if (this.over) return
    try {
      let all = this.reader.read(chunk)
      while (!all) {
        this.flush()
        if (this.unsent !== undefined) break
        all = this.reader.read(NOTHING)
      }
      this.acknowledge()
      this.flushSoon()
      if (this.reader.waits && this.waiting === undefined) this.waitForWhole()
    } catch (e) {
      // What ended the session is not asked again: Go's client sends elsewhere at once what no GOAWAY counts.
      this.lastStream = Math.max(this.lastStream, this.reader.begun)
      if (e instanceof h2.ConnectionError) {
        this.fail(e.code)
        return
      }
      this.deps.bug(e)
      this.fail(h2.INTERNAL_ERROR)
    }
  }

  private acknowledge(): void {
    if (this.unacknowledged <= h2.WINDOW / 2) return
    this.out.words(h2.WINDOW_UPDATE, 0, 0, [this.unacknowledged])
    this.unacknowledged = 0
  }

  private frame(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    switch (type) {
      case h2.DATA:
        this.data(flags, id, bytes, start, end)
        break
      case h2.RST_STREAM:
        expect(id !== 0 && id <= this.lastStream, h2.PROTOCOL_ERROR, 'reset')
        expect(end - start === 4, h2.FRAME_SIZE_ERROR, 'reset')
        this.misuse.add()
        this.streams.delete(id)
        break
      case h2.SETTINGS:
        this.settings(flags, id, bytes.subarray(start, end))
        break
      case h2.WINDOW_UPDATE:
        this.windowUpdate(id, bytes.subarray(start, end))
        break
      case h2.PING:
        expect(id === 0, h2.PROTOCOL_ERROR, 'ping')
        expect(end - start === 8, h2.FRAME_SIZE_ERROR, 'ping')
        this.misuse.add()
        if ((flags & h2.ACK) !== 0) break
        this.out.head(h2.PING, h2.ACK, 0, 8)
        this.out.bytes(bytes.subarray(start, end))
        break
      case h2.GOAWAY:
        // It takes no more answers than it has asked for, and ends the connection itself.
        expect(id === 0, h2.PROTOCOL_ERROR, 'goaway')
        expect(end - start >= 8, h2.FRAME_SIZE_ERROR, 'goaway')
        this.misuse.add()
        break
      case h2.PRIORITY:
        expect(id !== 0, h2.PROTOCOL_ERROR, 'priority')
        expect(end - start === 5, h2.FRAME_SIZE_ERROR, 'priority')
        expect((bytes.readUInt32BE(start) & h2.MAX_31_BITS) !== id, h2.PROTOCOL_ERROR, 'priority')
        this.misuse.add()
        break
      case h2.PUSH_PROMISE:
        throw new h2.ConnectionError(h2.PROTOCOL_ERROR, 'push')
      default:
        // An extension that we do not know (§5.5).
        this.misuse.add()
    }
  }

  /** A whole header block: a request, or the trailers of one. */
  private block(id: number, ends: boolean, bytes: Buffer, start: number, end: number): void {
    const { decoder, deps } = this
    const lines: string[] = []
    const known = id <= this.lastStream
    if (!known) this.lastStream = id
    expect(decoder.decode(bytes, start, end, lines, deps.limits.maxHeaderLines), h2.COMPRESSION_ERROR, 'header block')
    // Its client was told, and asks elsewhere (§6.8).
    if (id > this.lastServed) return
    if (known) {
      this.trailers(id, ends)
      return
    }
    const left = contentLength(lines)
    const method = valueOf(lines, ':method')
    if (
      decoder.malformed ||
      !isRequest(decoder.pseudo, method, lines) ||
      left === 'none' ||
      (ends && (left ?? 0) > 0)
    ) {
      this.reset(id, h2.PROTOCOL_ERROR)
      return
    }
    const most = deps.limits.maxConcurrentStreams
    if (this.streams.size >= most || this.inHand >= most) {
      this.reset(id, h2.REFUSED_STREAM)
      return
    }
    const isHead = method === 'HEAD'
    const answer = this.serve(id, lines)
    if (answer === undefined) return
    if (ends && !(answer instanceof Promise) && bodyOf(answer, isHead) === '') {
      // Most checks: over, and nothing is remembered.
      this.head(id, answer, true)
      return
    }
    const stream = this.streams.add({ id, isHead, receiving: !ends, left })
    if (answer instanceof Promise) {
      this.inHand += 1
      void answer.then(
        (late) => this.answerLate(stream, late),
        (e: unknown) => {
          deps.bug(e)
          this.answerLate(stream, undefined)
        },
      )
    } else this.answer(stream, answer)
  }

  /** undefined: there is no answer, which is a fault of ours; its stream is over. */
  private serve(id: number, lines: readonly string[]): Maybe<Answer> | undefined {
    const { count, size, badValue } = this.decoder
    try {
      return this.deps.serve({ lines, count, size, badValue })
    } catch (e) {
      this.deps.bug(e)
      this.writeReset(id, h2.INTERNAL_ERROR)
      return undefined
    }
  }

  /** @param a undefined: there is none, which is a fault of ours. */
  private answerLate(stream: Stream, a: Answer | undefined): void {
    this.inHand -= 1
    if (this.over || this.streams.get(stream.id) !== stream) return
    if (a !== undefined) this.answer(stream, a)
    else {
      this.streams.delete(stream.id)
      this.writeReset(stream.id, h2.INTERNAL_ERROR)
    }
    this.flushSoon()
  }

  private answer(stream: Stream, a: Answer): void {
    const body = bodyOf(a, stream.isHead)
    if (this.head(stream.id, a, body === '')) this.streams.answer(stream, body === '' ? undefined : Buffer.from(body))
    else this.streams.delete(stream.id)
  }

  /** Writes the head of an answer; false where it is one that nobody could read. */
  private head(id: number, a: Answer, ends: boolean): boolean {
    const bad = a.headers.find((header) => !isWritable(header))
    if (bad !== undefined) {
      this.deps.bug(new TypeError(`not a header that may be written: ${bad[0]}`))
      this.writeReset(id, h2.INTERNAL_ERROR)
      return false
    }
    const { encoder } = this
    this.out.headers(ends ? h2.END_STREAM : 0, id, (w) => {
      encoder.begin(w)
      encoder.status(w, a.status)
      for (const [name, value] of a.headers) encoder.field(w, name, value)
    })
    return true
  }

  private trailers(id: number, ends: boolean): void {
    const stream = this.streams.get(id)
    if (stream === undefined) {
      // Its client need not know yet that we have reset it (§5.1).
      const code = id === this.lastStream ? h2.STREAM_CLOSED : h2.PROTOCOL_ERROR
      expect(this.resets.has(id), code, 'headers')
      this.misuse.add()
      return
    }
    expect(stream.receiving, h2.STREAM_CLOSED, 'headers')
    const { malformed, pseudo } = this.decoder
    if (!ends || malformed || pseudo !== 0) this.reset(id, h2.PROTOCOL_ERROR)
    else this.received(stream)
  }

  private received(stream: Stream): void {
    if ((stream.left ?? 0) === 0) this.streams.received(stream)
    else this.reset(stream.id, h2.PROTOCOL_ERROR)
  }

  /** A body is read away; its windows open again as it comes. */
  private data(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    expect(id !== 0 && id <= this.lastStream, h2.PROTOCOL_ERROR, 'data')
    const counted = end - start
    this.unacknowledged += counted
    expect(this.unacknowledged <= h2.WINDOW, h2.FLOW_CONTROL_ERROR, 'data')
    const padding = (flags & h2.PADDED) === 0 ? 0 : 1 + (bytes[start] ?? 0)
    expect(padding <= counted, h2.PROTOCOL_ERROR, 'padding')
    const ends = (flags & h2.END_STREAM) !== 0
    if (padding === counted && !ends) this.misuse.add()
    const stream = this.streams.get(id)
    if (id > this.lastServed) return
    if (stream?.receiving !== true) {
      this.reset(id, h2.STREAM_CLOSED)
      return
    }
    stream.unacknowledged += counted
    if (stream.left !== undefined) stream.left -= counted - padding
    if (stream.unacknowledged > h2.WINDOW) this.reset(id, h2.FLOW_CONTROL_ERROR)
    else if (ends) this.received(stream)
    else if (stream.unacknowledged > h2.WINDOW / 2) {
      this.out.words(h2.WINDOW_UPDATE, 0, id, [stream.unacknowledged])
      stream.unacknowledged = 0
    }
  }

  private settings(flags: number, id: number, payload: Buffer): void {
    expect(id === 0, h2.PROTOCOL_ERROR, 'settings')
    const ack = (flags & h2.ACK) !== 0
    expect(ack ? payload.length === 0 : payload.length % 6 === 0, h2.FRAME_SIZE_ERROR, 'settings')
    this.misuse.add()
    if (ack) return
    for (let at = 0; at < payload.length; at += 6) {
      // One frame has room for 2,730, and each may visit every stream.
      this.misuse.add()
      this.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2))
    }
    this.out.head(h2.SETTINGS, h2.ACK, 0, 0)
    this.streams.sendAll()
  }

  private set(name: number, value: number): void {
    if (name === h2.HEADER_TABLE_SIZE) this.encoder.resize(value)
    else if (name === h2.ENABLE_PUSH) expect(value <= 1, h2.PROTOCOL_ERROR, 'settings')
    // More than the least is not made use of.
    else if (name === h2.MAX_FRAME_SIZE) expect(value >= h2.MAX_FRAME && value < 2 ** 24, h2.PROTOCOL_ERROR, 'settings')
    else if (name === h2.INITIAL_WINDOW_SIZE) {
      expect(value <= h2.MAX_31_BITS, h2.FLOW_CONTROL_ERROR, 'settings')
      this.streams.setInitialWindow(value)
    }
  }

  private windowUpdate(id: number, payload: Buffer): void {
    expect(payload.length === 4, h2.FRAME_SIZE_ERROR, 'window')
    expect(id <= this.lastStream, h2.PROTOCOL_ERROR, 'window')
    const more = payload.readUInt32BE(0) & h2.MAX_31_BITS
    if (id === 0) {
      expect(more > 0, h2.PROTOCOL_ERROR, 'window')
      this.streams.widen(more)
      return
    }
    const stream = this.streams.get(id)
    // Of one that is over: it was on its way.
    if (stream === undefined) return
    if (more === 0) this.reset(id, h2.PROTOCOL_ERROR)
    else if (!this.streams.widenOne(stream, more)) this.reset(id, h2.FLOW_CONTROL_ERROR)
  }

  private writeSetting(name: number, value: number): void {
    this.out.bytes(Uint8Array.of(name >> 8, name, value >>> 24, value >> 16, value >> 8, value))
  }

  /** What a client does wrong with one stream ends that stream (§5.4.2). */
  private reset(id: number, code: number): void {
    this.misuse.add()
    this.streams.delete(id)
    this.writeReset(id, code)
  }

  private writeReset(id: number, code: number): void {
    this.out.words(h2.RST_STREAM, 0, id, [code])
    this.resets.add(id)
    if (this.resets.size <= KNOWN_RESETS) return
    const [oldest] = this.resets
    if (oldest !== undefined) this.resets.delete(oldest)
  }

  /**
   * A gateway sends each request in a TLS record of its own, and each is an event here: what came in one read of the socket is
   * answered in one write, which spares both sides records and system calls.
   */
  private flushSoon(): void {
    this.flushing ??= setImmediate(() => {
      this.flushing = undefined
      this.flush()
      this.leaveIfDone()
    })
  }

  private flush(): void {
    if (this.out.length === 0) return
    const frames = this.out.take()
    if (!this.socket.writable) return
    this.socket.write(frames)
    if (this.socket.writableLength > MAX_UNSENT && this.unsent === undefined) this.waitUntilSent()
  }

  /** A client that does not read is not read. */
  private waitUntilSent(): void {
    this.socket.pause()
    this.unsent = setTimeout(() => this.socket.destroy(), UNSENT_MS).unref()
    this.socket.once('drain', () => {
      clearTimeout(this.unsent)
      this.unsent = undefined
      this.socket.resume()
      // What came before it was stopped; it may be stopped again.
      this.read(NOTHING)
    })
  }

  /** What was begun has its time; where something was whole meanwhile, what is begun now has it anew. */
  private waitForWhole(): void {
    const { count } = this.reader
    this.waiting = setTimeout(() => {
      this.waiting = undefined
      if (!this.reader.waits) return
      // While its client does not read, what came is not taken.
      if (this.reader.count === count && this.unsent === undefined) this.fail(h2.NO_ERROR)
      else this.waitForWhole()
    }, this.deps.limits.headersTimeoutMs).unref()
  }

  private fail(code: number): void {
    if (this.over) return
    // Never a higher stream than was said before (§6.8).
    this.out.words(h2.GOAWAY, 0, 0, [Math.min(this.lastStream, this.lastServed), code])
    this.flush()
    this.leave()
  }

  /** The last stream was answered, and no other will be. */
  private leaveIfDone(): void {
    if (!this.over && this.closing !== undefined && !this.streams.isAnswering()) this.leave()
  }

  private leave(): void {
    this.end()
    this.socket.end()
    setTimeout(() => this.socket.destroy(), LINGER_MS).unref()
  }

  private end(): void {
    this.over = true
    this.reader.stop()
    this.streams.clear()
    clearTimeout(this.waiting)
    clearTimeout(this.unsent)
    clearTimeout(this.closing)
  }
}

/** @throws ConnectionError where it does not hold. */
function expect(holds: boolean, code: number, what: string): void {
  if (!holds) throw new h2.ConnectionError(code, what)
}

/** §8.3.1: method, scheme and path, each once; CONNECT has an authority instead (§8.5), and is answered like any other no. */
function isRequest(pseudo: number, method: string | undefined, lines: readonly string[]): boolean {
  if (method === 'CONNECT') return pseudo === (METHOD | AUTHORITY)
  const needed = METHOD | SCHEME | PATH
  if ((pseudo & needed) !== needed) return false
  const path = valueOf(lines, ':path') ?? ''
  return path.startsWith('/') || path === '*'
}

/** The first value of a name: a pseudo field's, which is found soon. */
function valueOf(lines: readonly string[], name: string): string | undefined {
  for (let i = 0; i < lines.length; i += 2) if (lines[i] === name) return lines[i + 1]
  return undefined
}

/** In bytes; undefined where the request does not say, 'none' where it says no number, or several times (§8.1.1). */
function contentLength(lines: readonly string[]): number | undefined | 'none' {
  const [said, another] = valuesOf(lines, 'content-length')
  if (said === undefined) return undefined
  if (another !== undefined) return 'none'
  return /^[0-9]{1,15}$/.test(said) ? Number(said) : 'none'
}

function bodyOf(a: Answer, isHead: boolean): NonNullable<Answer['body']> {
  return isHead ? '' : (a.body ?? '')
}
