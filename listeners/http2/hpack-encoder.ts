import { ENTRY_OVERHEAD, STATIC_TABLE, TABLE_SIZE } from './static-table.ts'
import type { FrameWriter } from './frame-writer.ts'
import { OF_A_CONNECTION } from './protocol.ts'

const FIRST_DYNAMIC = STATIC_TABLE.length + 1
/** A longer value is a token or the like: it fills the table, and is the session's of somebody. */
const LONGEST_KEPT = 100

/** What is known of a field name, in whatever case answers have it. */
interface Name {
  /** As HTTP/2 has it; empty where it has none. */
  readonly text: string
  /** In the static table; 0 where it is not there. */
  readonly index: number
  /** The how manieth that was kept, from 0, and its value. */
  at: number | undefined
  value: string
}

/**
 * Writes the header blocks of one HTTP/2 session (HPACK, RFC 7541). The first value of each name goes into the table and
 * stays; another value of that name is sent as text beside the name's index. So what is the same in every answer takes a
 * byte, nothing is ever put out of the table, and a reader learns no secret of one user from the length of another's
 * (§7.1.3): tokens are always text.
 */
export class HpackEncoder {
  /** By their spellings in answers, which are few. */
  private readonly names = new Map<string, Name>()
  private kept = 0
  private bytes = 0
  private limit = TABLE_SIZE
  /** A table size that the peer's decoder has to be told. */
  private toTell: number | undefined

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  resize(size: number): void {
    const limit = Math.min(size, TABLE_SIZE)
    if (limit === this.limit) return
    this.limit = limit
    this.toTell = limit
    this.names.clear()
    this.kept = this.bytes = 0
  }

  begin(w: FrameWriter): void {
    if (this.toTell === undefined) return
    // To nothing first: what was kept is gone on both sides.
    w.number(0x20, 0x1f, 0)
    w.number(0x20, 0x1f, this.toTell)
    this.toTell = undefined
  }

  status(w: FrameWriter, status: number): void {
    const index = STATUS.get(status)
    if (index !== undefined) w.number(0x80, 0x7f, index)
    else {
      w.number(0x00, 0x0f, 8)
      w.text(String(status))
    }
  }

  field(w: FrameWriter, as: string, value: string): void {
    const name = this.names.get(as) ?? this.learn(as)
    if (name.text === '') return
    if (name.at !== undefined) {
      const index = FIRST_DYNAMIC + this.kept - 1 - name.at
      if (name.value === value) w.number(0x80, 0x7f, index)
      else {
        w.number(0x00, 0x0f, index)
        w.text(value)
      }
      return
    }
    const bytes = name.text.length + value.length + ENTRY_OVERHEAD
    const keep = value.length <= LONGEST_KEPT && this.bytes + bytes <= this.limit
    if (keep) {
      name.at = this.kept
      name.value = value
      this.kept += 1
      this.bytes += bytes
    }
    w.number(keep ? 0x40 : 0x00, keep ? 0x3f : 0x0f, name.index)
    if (name.index === 0) w.text(name.text)
    w.text(value)
  }

  private learn(as: string): Name {
    const lower = as.toLowerCase()
    const text = OF_A_CONNECTION.has(lower) ? '' : lower
    const name = this.names.get(lower) ?? { text, index: STATIC.get(text) ?? 0, at: undefined, value: '' }
    this.names.set(lower, name).set(as, name)
    return name
  }
}

const STATIC = new Map<string, number>()
const STATUS = new Map<number, number>()
STATIC_TABLE.forEach(([name, value], i) => {
  if (name === ':status') STATUS.set(Number(value), i + 1)
  else if (!STATIC.has(name)) STATIC.set(name, i + 1)
})
