export const NONE: readonly string[] = []

/** Names as they come, and in lower case: the same few dozen with every request, and a client may send any. */
const lowered = new Map<string, string>()
const MOST_LOWERED = 1000

/** A header name in lower case. */
export function lowerCase(name: string): string {
  const before = lowered.get(name)
  if (before !== undefined) return before
  const lower = name.toLowerCase()
  if (name.length <= 64 && lowered.size < MOST_LOWERED) lowered.set(name, lower)
  return lower
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
