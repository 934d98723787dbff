import type { FrameWriter } from './frame-writer.ts'
import { ConnectionError, DATA, END_STREAM, FLOW_CONTROL_ERROR, MAX_31_BITS, MAX_FRAME, WINDOW } from './protocol.ts'

/** A stream that is not over with the reading of its headers: its body is on its way, or its answer. */
export interface Stream {
  readonly id: number
  readonly isHead: boolean
  /** The client has more to send. */
  receiving: boolean
  /** Not answered, or not whole. */
  answering: boolean
  /** Bytes of the body that have yet to come, as Content-Length says. */
  left: number | undefined
  /** Bytes of the body since our last WINDOW_UPDATE. */
  unacknowledged: number
  /** Of the answer, what no window has let through yet. */
  body: Buffer | undefined
  window: number
}

/** The streams of a session that are not over, and what its client lets through of their answers (RFC 9113 §5.2). */
export class Streams {
  private readonly open = new Map<number, Stream>()
  private readonly out: FrameWriter
  private window = WINDOW
  private initialWindow = WINDOW

  constructor(out: FrameWriter) {
    this.out = out
  }

  get size(): number {
    return this.open.size
  }

  /** Whether an answer is not whole. A body that is on its way does not count: nobody wants it. */
  isAnswering(): boolean {
    for (const stream of this.open.values()) if (stream.answering) return true
    return false
  }

  get(id: number): Stream | undefined {
    return this.open.get(id)
  }

  add(o: Pick<Stream, 'id' | 'isHead' | 'receiving' | 'left'>): Stream {
    const stream = { ...o, answering: true, unacknowledged: 0, body: undefined, window: this.initialWindow }
    this.open.set(o.id, stream)
    return stream
  }

  delete(id: number): void {
    this.open.delete(id)
  }

  clear(): void {
    this.open.clear()
  }

  /** The head of its answer is written; this is what follows. */
  answer(stream: Stream, body: Buffer | undefined): void {
    stream.body = body
    this.send(stream)
  }

  /** The client's side is over. */
  received(stream: Stream): void {
    stream.receiving = false
    this.forgetIfOver(stream)
  }

  /** @throws ConnectionError where a window would be larger than any may be (§6.9.2). */
  setInitialWindow(size: number): void {
    for (const stream of this.open.values()) {
      stream.window += size - this.initialWindow
      if (stream.window > MAX_31_BITS) throw new ConnectionError(FLOW_CONTROL_ERROR, 'window')
    }
    this.initialWindow = size
  }

  /** More may be sent in all. */
  widen(more: number): void {
    this.window += more
    if (this.window > MAX_31_BITS) throw new ConnectionError(FLOW_CONTROL_ERROR, 'window')
    this.sendAll()
  }

  /** More may be sent of one; false where that is more than can be. */
  widenOne(stream: Stream, more: number): boolean {
    stream.window += more
    if (stream.window > MAX_31_BITS) return false
    if (stream.body !== undefined) this.send(stream)
    return true
  }

  sendAll(): void {
    for (const stream of this.open.values()) if (stream.body !== undefined) this.send(stream)
  }

  private send(stream: Stream): void {
    while (stream.body !== undefined) {
      const n = Math.min(stream.body.length, MAX_FRAME, this.window, stream.window)
      if (n <= 0) return
      const part = stream.body.subarray(0, n)
      stream.body = n === stream.body.length ? undefined : stream.body.subarray(n)
      this.window -= n
      stream.window -= n
      this.out.head(DATA, stream.body === undefined ? END_STREAM : 0, stream.id, n)
      this.out.bytes(part)
    }
    stream.answering = false
    this.forgetIfOver(stream)
  }

  private forgetIfOver(stream: Stream): void {
    if (!stream.answering && !stream.receiving) this.open.delete(stream.id)
  }
}
