/** Longest value of one header, in bytes: well under what Traefik's upstreams and nginx's 4 KB buffers take. */
export const MAX_VALUE_BYTES = 2048

/**
 * A claim's text as a header value: UTF-8 bytes, written one character a byte, since Node writes header strings as latin1.
 * Undefined for what would break a header or could be read as two (CR, LF, NUL, other controls), and for what is too long.
 */
export function headerValue(text: string): string | undefined {
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text) || !text.isWellFormed()) return undefined
  const trimmed = text.trim()
  if (trimmed === '') return undefined

  if (/^[\u0020-\u007e]*$/.test(trimmed)) return trimmed.length <= MAX_VALUE_BYTES ? trimmed : undefined
  const bytes = Buffer.from(trimmed, 'utf8')
  return bytes.length <= MAX_VALUE_BYTES ? bytes.toString('latin1') : undefined
}

/** A list joined by commas. A member that holds a comma would read as two, so it is dropped; `dropped` is told of it. */
export function joinList(texts: readonly string[], dropped: (text: string) => void): string | undefined {
  const kept: string[] = []
  for (const text of texts) {
    const value = text.includes(',') ? undefined : headerValue(text)
    if (value === undefined) dropped(text)
    else kept.push(value)
  }
  if (kept.length === 0) return undefined
  // Cut at a whole member: half a group's name would be another group.
  let joined = ''
  for (const value of kept) {
    if (joined.length + value.length + 1 > MAX_VALUE_BYTES * 2) {
      dropped(value)
      continue
    }
    joined = joined === '' ? value : `${joined},${value}`
  }
  return joined
}
