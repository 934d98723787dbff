import { CONTINUATION, END_HEADERS, FRAME_HEAD, HEADERS, MAX_FRAME } from './protocol.ts'

/** A buffer that grew beyond this is not kept. */
const MOST_KEPT = 262_144
const LEAST = 2048

/** Collects the frames of one session, to be sent together: one write and one TLS record for the answers to one read. */
export class FrameWriter {
  length = 0
  private buffer: Buffer = Buffer.allocUnsafeSlow(LEAST)

  /** What was collected, as a copy; nothing is left. */
  take(): Buffer {
    const all = Buffer.allocUnsafe(this.length)
    this.buffer.copy(all, 0, 0, this.length)
    this.length = 0
    if (this.buffer.length > MOST_KEPT) this.buffer = Buffer.allocUnsafeSlow(LEAST)
    return all
  }

  /** The head of a frame with a payload of so many bytes, which follow. */
  head(type: number, flags: number, stream: number, length: number): void {
    this.room(FRAME_HEAD + length)
    this.putHead(this.length, type, flags, stream, length)
    this.length += FRAME_HEAD
  }

  /** A whole frame whose payload is words of four bytes. */
  words(type: number, flags: number, stream: number, payload: readonly number[]): void {
    this.head(type, flags, stream, 4 * payload.length)
    for (const word of payload) this.length = this.buffer.writeUInt32BE(word, this.length)
  }

  /** A header block that `write` writes: a HEADERS frame, and CONTINUATION frames where one is too small for it. */
  headers(flags: number, stream: number, write: (w: this) => void): void {
    const at = this.length
    this.room(FRAME_HEAD)
    this.length += FRAME_HEAD
    write(this)
    const length = this.length - at - FRAME_HEAD
    if (length <= MAX_FRAME) this.putHead(at, HEADERS, flags | END_HEADERS, stream, length)
    else this.split(at, flags, stream)
  }

  bytes(from: Uint8Array): void {
    this.room(from.length)
    this.buffer.set(from, this.length)
    this.length += from.length
  }

  /** A number of HPACK (RFC 7541 §5.1), behind the bits that say what it is. */
  number(bits: number, mask: number, n: number): void {
    this.room(8)
    const { buffer } = this
    if (n < mask) {
      buffer[this.length++] = bits | n
      return
    }
    buffer[this.length++] = bits | mask
    let rest = n - mask
    while (rest >= 0x80) {
      buffer[this.length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    buffer[this.length++] = rest
  }

  /** A Latin-1 text of HPACK (§5.2), as it is: between two servers the Huffman code costs more than it saves. */
  text(text: string): void {
    this.number(0, 0x7f, text.length)
    this.room(text.length)
    this.length += this.buffer.write(text, this.length, 'latin1')
  }

  private split(at: number, flags: number, stream: number): void {
    const block = Buffer.from(this.buffer.subarray(at + FRAME_HEAD, this.length))
    this.length = at
    for (let from = 0; from < block.length; from += MAX_FRAME) {
      const part = block.subarray(from, from + MAX_FRAME)
      const last = from + MAX_FRAME >= block.length ? END_HEADERS : 0
      this.head(from === 0 ? HEADERS : CONTINUATION, (from === 0 ? flags : 0) | last, stream, part.length)
      this.bytes(part)
    }
  }

  private putHead(at: number, type: number, flags: number, stream: number, length: number): void {
    const { buffer } = this
    buffer[at] = length >> 16
    buffer[at + 1] = length >> 8
    buffer[at + 2] = length
    buffer[at + 3] = type
    buffer[at + 4] = flags
    buffer[at + 5] = stream >>> 24
    buffer[at + 6] = stream >> 16
    buffer[at + 7] = stream >> 8
    buffer[at + 8] = stream
  }

  private room(more: number): void {
    if (this.length + more <= this.buffer.length) return
    const larger = Buffer.allocUnsafeSlow(2 * (this.length + more))
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }
}
