import {
  ACK,
  CONTINUATION,
  ConnectionError,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  FRAME_HEAD,
  FRAME_SIZE_ERROR,
  HEADERS,
  MAX_31_BITS,
  MAX_FRAME,
  PADDED,
  PROTOCOL_ERROR,
  SETTINGS,
  WITH_PRIORITY,
} from './protocol.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** What one header block may be: what is larger, or comes in crumbs, is no request (CVE-2024-27316). */
export interface BlockLimits {
  /** Bytes as they come, which is to say coded. */
  readonly maxBlockBytes: number
  readonly maxBlockFrames: number
}

/** What is done with what comes. Payloads are a part of `bytes`, and good until the call ends. */
export interface FrameTaker {
  /** A whole header block, of however many frames. */
  readonly block: (stream: number, ends: boolean, bytes: Buffer, start: number, end: number) => void
  /** Every other frame. */
  readonly frame: (type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number) => void
  /** No more is taken for now. */
  readonly isFull: () => boolean
}

interface Block {
  readonly stream: number
  readonly ends: boolean
  readonly parts: Buffer[]
  size: number
}

/**
 * Cuts the bytes of a client into frames (RFC 9113 §4), and puts header blocks together.
 *
 * @throws ConnectionError where they are none.
 */
export class FrameReader {
  /** Of what came whole: a frame, or a block with all its frames. */
  count = 0
  private readonly taker: FrameTaker
  private readonly limits: BlockLimits
  private awaits: 'preface' | 'settings' | 'anything' = 'preface'
  /** Came, and is not taken yet: so many bytes of a buffer, which has room for the rest where it is a frame that was begun. */
  private held: Buffer | undefined
  private heldSize = 0
  private part: Block | undefined
  private stopped = false

  constructor(taker: FrameTaker, limits: BlockLimits) {
    this.taker = taker
    this.limits = limits
  }

  /** Something was begun, the session itself for one, and is not whole. */
  get waits(): boolean {
    return this.awaits !== 'anything' || this.held !== undefined || this.part !== undefined
  }

  /** The stream whose header block was begun and is not whole; 0 where there is none. */
  get begun(): number {
    return this.part?.stream ?? 0
  }

  /** Nothing more is read. */
  stop(): void {
    this.stopped = true
    this.held = this.part = undefined
  }

  /** @returns false: there may be more to take in what came; `read` goes on with it, an empty chunk will do. */
  read(chunk: Buffer): boolean {
    const { held, heldSize } = this
    if (held !== undefined && heldSize + chunk.length < held.length) {
      // A frame may come byte by byte, and is not copied anew for each.
      chunk.copy(held, heldSize)
      this.heldSize += chunk.length
      return true
    }
    const bytes = held === undefined ? chunk : Buffer.concat([held.subarray(0, heldSize), chunk])
    this.held = undefined
    let at = this.awaits === 'preface' ? this.preface(bytes) : 0
    let full = false
    while (!this.stopped && this.awaits !== 'preface' && bytes.length - at >= FRAME_HEAD) {
      full = this.taker.isFull()
      if (full) break
      const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
      if (length > MAX_FRAME) throw new ConnectionError(FRAME_SIZE_ERROR, 'frame')
      const start = at + FRAME_HEAD
      if (bytes.length - start < length) break
      const stream = bytes.readUInt32BE(at + 5) & MAX_31_BITS
      this.frame(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, stream, bytes, start, start + length)
      at = start + length
    }
    if (!this.stopped && at < bytes.length) this.hold(bytes.subarray(at))
    return !full
  }

  /** Keeps a copy: what is left may be a few bytes of a large chunk. */
  private hold(rest: Buffer): void {
    const whole = rest.length < FRAME_HEAD ? 0 : FRAME_HEAD + rest.readUIntBE(0, 3)
    const isFrame = this.awaits !== 'preface' && whole <= FRAME_HEAD + MAX_FRAME
    this.held = Buffer.allocUnsafe(Math.max(rest.length, isFrame ? whole : 0))
    this.heldSize = rest.copy(this.held)
  }

  /** How many bytes of it were read (§3.4). */
  private preface(bytes: Buffer): number {
    const n = Math.min(bytes.length, PREFACE.length)
    if (PREFACE.compare(bytes, 0, n, 0, n) !== 0) throw new ConnectionError(PROTOCOL_ERROR, 'preface')
    if (n < PREFACE.length) return 0
    this.awaits = 'settings'
    return n
  }

  private frame(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void {
    if (this.awaits !== 'anything') {
      if (type !== SETTINGS || (flags & ACK) !== 0) throw new ConnectionError(PROTOCOL_ERROR, 'first frame')
      this.awaits = 'anything'
    }
    // Nothing may stand between the frames of a block (§6.10).
    if ((this.part !== undefined) !== (type === CONTINUATION) || (this.part?.stream ?? stream) !== stream)
      throw new ConnectionError(PROTOCOL_ERROR, 'header block')
    if (this.part !== undefined) this.continued(this.part, flags, bytes, start, end)
    else if (type === HEADERS) this.headers(flags, stream, bytes, start, end)
    else {
      this.count += 1
      this.taker.frame(type, flags, stream, bytes, start, end)
    }
  }

  private headers(flags: number, stream: number, bytes: Buffer, start: number, end: number): void {
    if (stream % 2 === 0) throw new ConnectionError(PROTOCOL_ERROR, 'stream id')
    if ((flags & PADDED) !== 0) {
      end -= bytes[start] ?? 0
      start += 1
    }
    if ((flags & WITH_PRIORITY) !== 0) {
      if (end - start >= 4 && (bytes.readUInt32BE(start) & MAX_31_BITS) === stream)
        throw new ConnectionError(PROTOCOL_ERROR, 'priority')
      start += 5
    }
    if (start > end) throw new ConnectionError(PROTOCOL_ERROR, 'padding')
    const ends = (flags & END_STREAM) !== 0
    if ((flags & END_HEADERS) !== 0) {
      this.count += 1
      this.taker.block(stream, ends, bytes, start, end)
    } else this.part = { stream, ends, parts: [Buffer.from(bytes.subarray(start, end))], size: end - start }
  }

  private continued(block: Block, flags: number, bytes: Buffer, start: number, end: number): void {
    block.parts.push(Buffer.from(bytes.subarray(start, end)))
    block.size += end - start
    if (block.size > this.limits.maxBlockBytes || block.parts.length > this.limits.maxBlockFrames)
      throw new ConnectionError(ENHANCE_YOUR_CALM, 'header block')
    if ((flags & END_HEADERS) === 0) return
    this.part = undefined
    this.count += 1
    this.taker.block(block.stream, block.ends, Buffer.concat(block.parts), 0, block.size)
  }
}
