/** Longest value of one header, in bytes: well under what Traefik's upstreams and nginx's 4 KB buffers take. */
export const MAX_VALUE_BYTES = 2048

/** Longest list: a few such headers still fit into the 16 KB that many servers take. */
export const MAX_LIST_BYTES = 4096

/**
 * A claim's text as a header value: UTF-8 bytes, written one character a byte, since Node writes header strings as latin1.
 * Undefined for what would break a header or could be read as two (CR, LF, NUL, other controls), for what is too long, and
 * for what begins or ends with a blank: a header has none there, and `alice ` must not become `alice`.
 */
export function headerValue(text: string): string | undefined {
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text) || !text.isWellFormed()) return undefined
  if (text === '' || text.trim() !== text) return undefined

  if (/^[\u0020-\u007e]*$/.test(text)) return text.length <= MAX_VALUE_BYTES ? text : undefined
  const bytes = Buffer.from(text, 'utf8')
  return bytes.length <= MAX_VALUE_BYTES ? bytes.toString('latin1') : undefined
}

/**
 * A list joined by commas. A member that holds a comma would read as two, so it is dropped, as is what no header can say.
 *
 * @param dropped is told once of all that was left out, in order.
 */
export function joinList(texts: readonly string[], dropped: (texts: readonly string[]) => void): string | undefined {
  const left: string[] = []
  let joined = ''
  for (const text of texts) {
    const value = text.includes(',') ? undefined : headerValue(text)
    // Cut at a whole member: half a group's name would be another group.
    if (value === undefined || joined.length + value.length + 1 > MAX_LIST_BYTES) left.push(text)
    else joined = joined === '' ? value : `${joined},${value}`
  }
  if (left.length > 0) dropped(left)
  return joined === '' ? undefined : joined
}
