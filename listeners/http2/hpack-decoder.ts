import { lowerCase } from '../../middleware/mouths/header-lines.ts'
import { decodeHuffman } from './huffman.ts'
import { OF_A_CONNECTION } from './protocol.ts'
import { ENTRY_OVERHEAD, STATIC_TABLE, TABLE_SIZE } from './static-table.ts'

/** Pseudo fields that a block had, as bits (RFC 9113 §8.3.1). */
export const METHOD = 1
export const SCHEME = 2
export const PATH = 4
export const AUTHORITY = 8

const NOTHING: Buffer = Buffer.alloc(0)
/** Room for a longer text is not kept: a session may never see another. */
const MOST_KEPT = 32_768

const REGULAR = 0
const MALFORMED = -1

/** A power of two: no more entries of 32 bytes and more fit into the table. */
const SLOTS = TABLE_SIZE / ENTRY_OVERHEAD
/** A coded number that takes more bytes is no length of ours. */
const MAX_NUMBER_BYTES = 4

/** A field name as RFC 9113 §8.2.1 has it: a token (RFC 9110 §5.6.2) in lower case. */
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
/** What no value may hold (RFC 9113 §8.2.1, RFC 9110 §5.5). */
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/
/** What none may begin or end with (§8.2.1). */
const EDGE = /^[ \t]|[ \t]$/

/**
 * Reads the header blocks of one HTTP/2 session (HPACK, RFC 7541) with our table size, which is the one by default. Every
 * block must pass through here in order, also one that nobody wants: the next ones build on it.
 */
export class HpackDecoder {
  /** Of the last block: its pseudo fields as bits. */
  pseudo = 0
  /** Of the last block: it is no request that RFC 9113 §8.2 and §8.3 allow, whatever its values. */
  malformed = false
  /** Of the last block: a value is none that §8.2.1 allows. */
  badValue = false
  /** Of the last block: how many fields it had, told or not. */
  count = 0
  /** Of the last block: characters of names and values, of all of them. */
  size = 0

  /** The dynamic table: a ring, its newest entry at `newest`. */
  private readonly names: string[] = new Array<string>(SLOTS).fill('')
  private readonly values: string[] = new Array<string>(SLOTS).fill('')
  /** Of their names. */
  private readonly kinds = new Int8Array(SLOTS)
  /** 1: the value is none; beside another value the name may be good. */
  private readonly bad = new Uint8Array(SLOTS)
  private newest = 0
  private entries = 0
  private bytes = 0
  private limit = TABLE_SIZE

  private block = NOTHING
  private at = 0
  private end = 0
  private scratch = Buffer.alloc(1024)
  /** The last name that was read, by index or as text. */
  private name = ''
  private kind = REGULAR
  private isBad = false
  private onlyPseudo = true

  /**
   * Reads one block.
   *
   * @param lines gets names and values in turn, of the first `most` fields: a block may name a large entry again and again.
   * @returns false: a decoding error, after which nothing more can be read of the session (RFC 7541 §2).
   */
  decode(block: Buffer, start: number, end: number, lines: string[], most: number): boolean {
    this.block = block
    this.at = start
    this.end = end
    this.pseudo = 0
    this.malformed = false
    this.badValue = false
    this.count = 0
    this.size = 0
    this.onlyPseudo = true
    const isRead = this.fields(lines, most)
    // It may be a part of something large.
    this.block = NOTHING
    return isRead
  }

  private fields(lines: string[], most: number): boolean {
    while (this.at < this.end) {
      const first = this.block[this.at] ?? 0
      if (first >= 0x80) {
        const index = this.number(first, 0x7f)
        if (index < 1 || !this.nameOf(index)) return false
        this.take(this.valueOf(index), lines, most)
      } else if (first >= 0x20 && first < 0x40) {
        // A new table size comes first in a block (§4.2).
        const size = this.number(first, 0x1f)
        if (this.count > 0 || size < 0 || size > TABLE_SIZE) return false
        this.limit = size
        this.evict(0)
      } else if (!this.literal(first, lines, most)) return false
    }
    return true
  }

  /** A field as text; with its name by index perhaps, and kept perhaps (§6.2). */
  private literal(first: number, lines: string[], most: number): boolean {
    const kept = first >= 0x40
    const index = this.number(first, kept ? 0x3f : 0x0f)
    if (index < 0) return false
    if (index > 0) {
      if (!this.nameOf(index)) return false
    } else {
      const name = this.text()
      if (name === undefined) return false
      this.kind = kindOf(name)
      // As the one text that V8 compares by its address: each is asked for many times, by each request that names its entry.
      this.name = this.kind === REGULAR ? lowerCase(name) : name
    }
    const value = this.text()
    if (value === undefined) return false
    this.isBad = isBad(this.name, value)
    if (kept) this.keep(value)
    this.take(value, lines, most)
    return true
  }

  private take(value: string, lines: string[], most: number): void {
    const { kind } = this
    if (this.isBad) this.badValue = true
    // Connection-specific but for one value (§8.2.2).
    if (kind === MALFORMED || (this.name === 'te' && value.toLowerCase() !== 'trailers')) this.malformed = true
    else if (kind === REGULAR) this.onlyPseudo = false
    else if (!this.onlyPseudo || (this.pseudo & kind) !== 0) this.malformed = true
    else this.pseudo |= kind
    this.count += 1
    this.size += this.name.length + value.length
    if (this.count <= most) lines.push(this.name, value)
  }

  /** Finds the name of an entry; false where there is none. */
  private nameOf(index: number): boolean {
    if (index <= STATIC_TABLE.length) {
      this.name = STATIC_NAMES[index - 1] ?? ''
      this.kind = STATIC_KINDS[index - 1] ?? MALFORMED
      this.isBad = false
      return true
    }
    const i = index - STATIC_TABLE.length - 1
    if (i >= this.entries) return false
    const slot = (this.newest + i) & (SLOTS - 1)
    this.name = this.names[slot] ?? ''
    this.kind = this.kinds[slot] ?? MALFORMED
    this.isBad = this.bad[slot] === 1
    return true
  }

  private valueOf(index: number): string {
    if (index <= STATIC_TABLE.length) return STATIC_VALUES[index - 1] ?? ''
    return this.values[(this.newest + index - STATIC_TABLE.length - 1) & (SLOTS - 1)] ?? ''
  }

  private keep(value: string): void {
    const bytes = this.name.length + value.length + ENTRY_OVERHEAD
    this.evict(bytes)
    // One that is larger than the table empties it, and that is all (§4.4).
    if (bytes > this.limit) return
    this.newest = (this.newest - 1) & (SLOTS - 1)
    this.names[this.newest] = this.name
    this.values[this.newest] = value
    this.kinds[this.newest] = this.kind
    this.bad[this.newest] = this.isBad ? 1 : 0
    this.entries += 1
    this.bytes += bytes
  }

  /** Makes room for so many bytes. */
  private evict(room: number): void {
    while (this.entries > 0 && this.bytes + room > this.limit) {
      this.entries -= 1
      const slot = (this.newest + this.entries) & (SLOTS - 1)
      this.bytes -= (this.names[slot] ?? '').length + (this.values[slot] ?? '').length + ENTRY_OVERHEAD
      this.names[slot] = this.values[slot] = ''
    }
  }

  /** A number with its first bits in a byte that was looked at (§5.1); -1 where it is none or too large. */
  private number(first: number, mask: number): number {
    this.at += 1
    let n = first & mask
    if (n < mask) return n
    for (let i = 0; i < MAX_NUMBER_BYTES && this.at < this.end; i += 1) {
      const byte = this.block[this.at++] ?? 0
      n += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return n
    }
    return -1
  }

  /** A text, coded or not (§5.2); undefined where it is none. */
  private text(): string | undefined {
    if (this.at >= this.end) return undefined
    const first = this.block[this.at] ?? 0
    const length = this.number(first, 0x7f)
    const start = this.at
    if (length < 0 || length > this.end - start) return undefined
    this.at = start + length
    if (first < 0x80) return this.block.toString('latin1', start, this.at)
    const into = this.roomFor(2 * length)
    const decoded = decodeHuffman(this.block, start, this.at, into)
    return decoded < 0 ? undefined : into.toString('latin1', 0, decoded)
  }

  private roomFor(bytes: number): Buffer {
    if (bytes <= this.scratch.length) return this.scratch
    const room = Buffer.allocUnsafeSlow(bytes)
    if (bytes <= MOST_KEPT) this.scratch = room
    return room
  }
}

/**
 * A piece of a Cookie field, as a client may cut it (§8.2.3), is no value of its own: Go's cuts at each semicolon, so that
 * `a=1 ; b=2` comes as two fields, and the first ends with the space that stood within.
 */
function isBad(name: string, value: string): boolean {
  return CONTROL.test(value) || (name !== 'cookie' && EDGE.test(value))
}

function kindOf(name: string): number {
  switch (name) {
    case ':method':
      return METHOD
    case ':scheme':
      return SCHEME
    case ':path':
      return PATH
    case ':authority':
      return AUTHORITY
    default:
      return NAME.test(name) && !OF_A_CONNECTION.has(name) ? REGULAR : MALFORMED
  }
}

const STATIC_NAMES = STATIC_TABLE.map(([name]) => name)
const STATIC_VALUES = STATIC_TABLE.map(([, value]) => value)
const STATIC_KINDS = STATIC_TABLE.map(([name]) => kindOf(name))
