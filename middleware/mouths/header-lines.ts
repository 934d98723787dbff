import { memoize } from '../memo.ts'

export const NONE: readonly string[] = []

/** A header name in lower case. */
export const lowerCase = memoize((name) => name.toLowerCase(), 1000, 64)

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
