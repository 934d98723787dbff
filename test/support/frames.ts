import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** One frame of HTTP/2 (RFC 9113 §4.1). `claims`: a length that its payload does not have. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array | readonly number[] = [],
  claims = payload.length,
): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(claims, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, Uint8Array.from(payload)])
}

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** A client of HTTP/2 that says what it is told to, byte by byte, and keeps the frames that come. */
export class FrameClient {
  readonly socket: Socket
  readonly frames: Frame[] = []
  /** How many `next` has passed. */
  private passed = 0
  private bytes = Buffer.alloc(0)
  private ended = false
  /** What is called when something came, or nothing will any more. */
  private wake: () => void = () => undefined

  /** @param begin what it says first, its preface and settings by default. */
  constructor(port: number, begin: Buffer = Buffer.concat([PREFACE, frame(4, 0, 0)])) {
    this.socket = connect({ port, host: '127.0.0.1' })
    this.socket.on('data', (chunk: Buffer) => this.take(chunk))
    this.socket.on('error', () => undefined)
    this.socket.once('close', () => {
      this.ended = true
      this.wake()
    })
    this.send(begin)
  }

  static async open(port: number, begin?: Buffer): Promise<FrameClient> {
    const client = new FrameClient(port, begin)
    await once(client.socket, 'connect')
    return client
  }

  send(...bytes: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(bytes))
  }

  /** The next frame that `wanted` takes, the others before it are passed over; undefined: the connection ended before. */
  async next(wanted: (f: Frame) => boolean): Promise<Frame | undefined> {
    for (;;) {
      for (let f = this.frames[this.passed]; f !== undefined; f = this.frames[this.passed]) {
        this.passed += 1
        if (wanted(f)) return f
      }
      if (this.ended) return undefined
      await new Promise<void>((resolve) => (this.wake = resolve))
    }
  }

  /** The first that `wanted` takes of all that came, or will; rejects where the connection ends before. */
  async first(wanted: (f: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const found = this.frames.find(wanted)
      if (found !== undefined) return found
      if (this.ended) throw new Error('the connection ended before')
      await new Promise<void>((resolve) => (this.wake = resolve))
    }
  }

  private take(chunk: Buffer): void {
    this.bytes = Buffer.concat([this.bytes, chunk])
    while (this.bytes.length >= 9 && this.bytes.length >= 9 + this.bytes.readUIntBE(0, 3)) {
      const end = 9 + this.bytes.readUIntBE(0, 3)
      this.frames.push({
        type: this.bytes.readUInt8(3),
        flags: this.bytes.readUInt8(4),
        stream: this.bytes.readUInt32BE(5),
        payload: this.bytes.subarray(9, end),
      })
      this.bytes = this.bytes.subarray(end)
    }
    this.wake()
  }
}
