import { accessSync, constants, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import type { Emit, EpochMs } from '../types.ts'

/** The epoch outside of the store, so that a store restored from a snapshot meets it again after a restart. */
export interface EpochFiles {
  /** The newest that any of the files tells; 0 where none does. */
  read(): EpochMs
  write(at: EpochMs): void
}

export interface EpochPlaces {
  readonly main?: string
  readonly copies: readonly string[]
  readonly older: readonly string[]
}

/** A file as it is written. */
interface Text {
  readonly v: number
  readonly revoked_before: number
}

/**
 * Keeps the epoch in small files of mode 0600. `where.main` is made and written; `where.copies` are written where their folder is
 * there already; `where.older` are only read (names under older secrets). A folder that cannot be written is a warning, not a failure: the epoch then lives in the store and in memory.
 */
export function openEpochFiles(where: EpochPlaces, emit: Emit): EpochFiles {
  const file = where.main === undefined ? undefined : resolve(where.main)
  const warn = (detail: string): void => emit({ name: 'store_warning', fields: { detail } })
  let lost = false
  const unwritable = (file: string, e: unknown): void => {
    // Once: it is written again and again, and the folder does not change its mind.
    if (!lost)
      warn(
        `${dirname(file)} cannot be written (${e instanceof Error ? e.message : 'failed'}): after a restart together with a restored snapshot, "sessions revoke --all" is forgotten`,
      )
    lost = true
  }
  if (file !== undefined) {
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      accessSync(dirname(file), constants.W_OK)
    } catch (e) {
      unwritable(file, e)
    }
  }
  const all = [...(file === undefined ? [] : [file]), ...where.copies, ...where.older]
  return {
    read: () => Math.max(0, ...all.map((f) => readOne(f, warn))) as EpochMs,
    write: (at) => {
      if (file === undefined) return
      try {
        mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
        writeOne(file, at)
        lost = false
      } catch (e) {
        unwritable(file, e)
      }
      for (const copy of where.copies) {
        try {
          writeOne(copy, at)
        } catch {
          // Its folder is not there, or not ours: one file is enough.
        }
      }
    },
  }
}

function writeOne(file: string, at: EpochMs): void {
  const half = `${file}.${process.pid}.new`
  const text: Text = { v: 1, revoked_before: at }
  writeFileSync(half, `${JSON.stringify(text)}\n`, { mode: 0o600, flush: true })
  renameSync(half, file)
}

function readOne(file: string, warn: (detail: string) => void): number {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (e) {
    if (!(e instanceof Error && 'code' in e && (e.code === 'ENOENT' || e.code === 'ENOTDIR')))
      warn(`${file} cannot be read: ${e instanceof Error ? e.message : 'failed'}`)
    return 0
  }
  try {
    const { revoked_before: at } = JSON.parse(text) as Partial<Text>
    if (Number.isSafeInteger(at)) return at ?? 0
  } catch {
    // Said below.
  }
  warn(`${basename(file)} does not say when sessions were revoked; run "sessions revoke --all" again if it was used`)
  return 0
}
