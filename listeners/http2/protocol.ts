/** Types of frames (RFC 9113 §6). */
export const DATA = 0x0
export const HEADERS = 0x1
export const PRIORITY = 0x2
export const RST_STREAM = 0x3
export const SETTINGS = 0x4
export const PUSH_PROMISE = 0x5
export const PING = 0x6
export const GOAWAY = 0x7
export const WINDOW_UPDATE = 0x8
export const CONTINUATION = 0x9

/** Flags of frames. */
export const END_STREAM = 0x1
export const ACK = 0x1
export const END_HEADERS = 0x4
export const PADDED = 0x8
export const WITH_PRIORITY = 0x20

/** Error codes (§7). */
export const NO_ERROR = 0x0
export const PROTOCOL_ERROR = 0x1
export const INTERNAL_ERROR = 0x2
export const FLOW_CONTROL_ERROR = 0x3
export const STREAM_CLOSED = 0x5
export const FRAME_SIZE_ERROR = 0x6
export const REFUSED_STREAM = 0x7
export const COMPRESSION_ERROR = 0x9
export const ENHANCE_YOUR_CALM = 0xb

/** Settings (§6.5.2). */
export const HEADER_TABLE_SIZE = 0x1
export const ENABLE_PUSH = 0x2
export const MAX_CONCURRENT_STREAMS = 0x3
export const INITIAL_WINDOW_SIZE = 0x4
export const MAX_FRAME_SIZE = 0x5
export const MAX_HEADER_LIST_SIZE = 0x6

/** Fields that speak of one connection, and make a request or an answer malformed here (§8.2.2). */
export const OF_A_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])

/** Bytes of the head of a frame (§4.1). */
export const FRAME_HEAD = 9
/** Bytes of a frame's payload: no larger one is sent unless its reader allows it, and we do not (§4.2). */
export const MAX_FRAME = 16_384
/** Bytes that may be on their way before anybody says otherwise (§6.9.2). */
export const WINDOW = 65_535
/** The largest window, and the highest stream id. */
export const MAX_31_BITS = 2 ** 31 - 1

/** An error of the whole connection (§5.4.1): a GOAWAY with this code ends it. */
export class ConnectionError extends Error {
  readonly code: number

  /** @param what frame or part was wrong. */
  constructor(code: number, what: string) {
    super(what)
    this.code = code
  }
}
