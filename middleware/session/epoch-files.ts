import { accessSync, constants, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import type { Emit, EpochMs } from '../types.ts'

/** The epoch outside of the store, so that a store restored from a snapshot meets it again after a restart. */
export interface EpochFiles {
  /** The newest that any of the files tells; 0 where none does. */
  read(): EpochMs
  write(at: EpochMs): void
}

/** A file as it is written. */
interface Text {
  readonly v: number
  readonly revoked_before: number
}

/**
 * Keeps the epoch in small files of mode 0600: the first is the one in use, the others are read too (a name under an older
 * secret). A folder that cannot be written is a warning, not a failure: the epoch then lives in the store and in memory.
 */
export function openEpochFiles(paths: readonly string[], emit: Emit): EpochFiles {
  const files = paths.map((p) => resolve(p))
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
  for (const file of files.slice(0, 1)) {
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      accessSync(dirname(file), constants.W_OK)
    } catch (e) {
      unwritable(file, e)
    }
  }
  return {
    read: () => Math.max(0, ...files.map((file) => readOne(file, warn))) as EpochMs,
    write: (at) => {
      const [file] = files
      if (file === undefined) return
      const half = `${file}.${process.pid}.new`
      const text: Text = { v: 1, revoked_before: at }
      try {
        mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
        writeFileSync(half, `${JSON.stringify(text)}\n`, { mode: 0o600, flush: true })
        renameSync(half, file)
        lost = false
      } catch (e) {
        unwritable(file, e)
      }
    },
  }
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
