import { ENTRY_OVERHEAD, STATIC_TABLE, TABLE_SIZE } from './static-table.ts'
import type { FrameWriter } from './frame-writer.ts'

const FIRST_DYNAMIC = STATIC_TABLE.length + 1
/** A longer value is a token or the like: it fills the table, and is the session's of somebody. */
const LONGEST_KEPT = 100

interface Entry {
  /** The how manieth that was kept, from 0. */
  readonly at: number
  readonly value: string
}

/**
 * Writes the header blocks of one HTTP/2 session (HPACK, RFC 7541). The first value of each name goes into the table and
 * stays; another value of that name is sent as text beside the name's index. So what is the same in every answer takes a
 * byte, nothing is ever put out of the table, and a reader learns no secret of one user from the length of another's
 * (§7.1.3): tokens are always text.
 */
export class HpackEncoder {
  private readonly kept = new Map<string, Entry>()
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
    this.kept.clear()
    this.bytes = 0
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

  /** @param name in lower case. */
  field(w: FrameWriter, name: string, value: string): void {
    const entry = this.kept.get(name)
    if (entry !== undefined) {
      const index = FIRST_DYNAMIC + this.kept.size - 1 - entry.at
      if (entry.value === value) w.number(0x80, 0x7f, index)
      else {
        w.number(0x00, 0x0f, index)
        w.text(value)
      }
      return
    }
    const index = STATIC.get(name)
    const bytes = name.length + value.length + ENTRY_OVERHEAD
    const keep = value.length <= LONGEST_KEPT && this.bytes + bytes <= this.limit
    if (keep) {
      this.kept.set(name, { at: this.kept.size, value })
      this.bytes += bytes
    }
    w.number(keep ? 0x40 : 0x00, keep ? 0x3f : 0x0f, index ?? 0)
    if (index === undefined) w.text(name)
    w.text(value)
  }
}

const STATIC = new Map<string, number>()
const STATUS = new Map<number, number>()
STATIC_TABLE.forEach(([name, value], i) => {
  if (name === ':status') STATUS.set(Number(value), i + 1)
  else if (!STATIC.has(name)) STATIC.set(name, i + 1)
})
