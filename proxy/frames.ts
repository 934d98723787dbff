/** Knows, of the bytes that an upstream sends after a 101, whether they stand at the end of a WebSocket frame (RFC 6455 §5.2). */
export interface FrameTracker {
  feed(chunk: Buffer): void
  /** Only here may a frame of ours follow. */
  readonly atBoundary: () => boolean
}

export function createFrameTracker(): FrameTracker {
  let header = 0
  let need = 2
  let bytes: number[] = []
  let payload = 0
  return {
    feed: (chunk) => {
      let i = 0
      while (i < chunk.length) {
        if (payload > 0) {
          const take = Math.min(payload, chunk.length - i)
          payload -= take
          i += take
          continue
        }
        bytes.push(chunk[i++] ?? 0)
        header += 1
        if (header === 2) need = headerLength(bytes[1] ?? 0)
        if (header < 2 || header < need) continue
        payload = payloadLength(bytes)
        bytes = []
        header = 0
        need = 2
      }
    },
    atBoundary: () => header === 0 && payload === 0,
  }
}

function headerLength(second: number): number {
  const length = second & 0x7f
  return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + ((second & 0x80) === 0 ? 0 : 4)
}

function payloadLength(header: readonly number[]): number {
  const length = (header[1] ?? 0) & 0x7f
  if (length < 126) return length
  const size = length === 126 ? 2 : 8
  return header.slice(2, 2 + size).reduce((n, byte) => n * 256 + byte, 0)
}

/** A close frame from server to client, unmasked. Codes: RFC 6455 §7.4.1. */
export function closeFrame(code: number, reason: string): Buffer {
  const text = Buffer.from(reason, 'utf8').subarray(0, 123)
  return Buffer.concat([Buffer.from([0x88, 2 + text.length, code >> 8, code & 0xff]), text])
}
