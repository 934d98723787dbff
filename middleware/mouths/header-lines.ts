import { memoize } from '../memo.ts'
import type { Answer } from '../types.ts'

export const NONE: readonly string[] = []

const kept = new Map<string, string>()

/**
 * A header name in lower case. As a key of an object it is one that V8 compares by its address; to make such a key costs 2 µs, so
 * that whoever sends many names gets them as they are (`memo.ts`).
 */
export function lowerCase(name: string): string {
  const before = kept.get(name)
  if (before !== undefined) return before
  const lower = name.toLowerCase()
  if (kept.size >= 1000 || name.length > 64) return lower
  const key = Object.keys({ [lower]: 0 })[0] ?? ''
  kept.set(name, key)
  return key
}

/**
 * The values of one name, from names in lower case and values in turn. A check has some twenty lines: to go through them for
 * each question costs less than to make an index for each check.
 */
export function valuesOf(lines: readonly string[], name: string): readonly string[] {
  let found: string[] | undefined
  for (let i = 0; i < lines.length; i += 2) {
    if (lines[i] !== name) continue
    const value = lines[i + 1] ?? ''
    if (found === undefined) found = [value]
    else found.push(value)
  }
  return found ?? NONE
}

/** The names from a place on, as often as they came. */
export function namesOf(lines: readonly string[], from: number): readonly string[] {
  const names: string[] = []
  for (let i = from; i < lines.length; i += 2) names.push(lines[i] ?? '')
  return names
}

/** Values by lower-case name, from names and values in turn: one pass for the two dozen questions that follow. */
export function indexLines(lines: readonly string[]): Map<string, string[]> {
  const index = new Map<string, string[]>()
  for (let i = 0; i < lines.length; i += 2) {
    const name = lowerCase(lines[i] ?? '')
    const value = lines[i + 1] ?? ''
    const values = index.get(name)
    if (values === undefined) index.set(name, [value])
    else values.push(value)
  }
  return index
}

const isName = memoize((name) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name), 1000, 64)
const NOT_IN_A_VALUE = /[^\t -~\u0080-\u00ff]/

/** So long a value takes a while to look at. */
const LONG = 256
/** Those that were looked at: a token's header is the same pair for as long as the token is kept. */
const writable = new WeakSet<Answer['headers'][number]>()

/** Whether a header of an answer is one (RFC 9110 §5.1, §5.5): its name or value could begin another line else. */
export function isWritable(header: Answer['headers'][number]): boolean {
  const [name, value] = header
  if (!isName(name)) return false
  if (value.length < LONG) return !NOT_IN_A_VALUE.test(value)
  if (writable.has(header)) return true
  if (NOT_IN_A_VALUE.test(value)) return false
  writable.add(header)
  return true
}
