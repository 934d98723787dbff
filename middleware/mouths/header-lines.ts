import { memoize } from '../memo.ts'
import type { Answer, RawRequest } from '../types.ts'

export const NONE: readonly string[] = []

/**
 * A header name in lower case. As a key of an object it is one that V8 compares by its address; to make such a key costs 2 µs,
 * so that whoever sends many names gets the others as they are.
 */
export const lowerCase = memoize(
  (name) => Object.keys({ [name.toLowerCase()]: 0 })[0] ?? '',
  1000,
  64,
  (name) => name.toLowerCase(),
)

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

/** A raw request over its lines, asked without an index. A class, so that a request brings no functions of its own. */
export class LinesRequest implements RawRequest {
  readonly method: string
  readonly target: string
  readonly peer: RawRequest['peer']
  private readonly lines: readonly string[]
  /** Where the fields begin: before them stand the pseudo fields of HTTP/2. */
  private readonly first: number
  private readonly authority: string | undefined

  /** @param lines names in lower case and values in turn, as they came. */
  constructor(
    { method, target, peer }: Pick<RawRequest, 'method' | 'target' | 'peer'>,
    lines: readonly string[],
    first = 0,
    authority?: string,
  ) {
    this.method = method
    this.target = target
    this.peer = peer
    this.lines = lines
    this.first = first
    this.authority = authority
  }

  all(name: string): readonly string[] {
    const found = valuesOf(this.lines, name)
    return name === 'host' && this.authority !== undefined ? hosts(this.authority, found) : found
  }

  names(): readonly string[] {
    const names: string[] = []
    for (let i = this.first; i < this.lines.length; i += 2) names.push(this.lines[i] ?? '')
    return names
  }
}

/** `:authority` is the Host; a field beside it must say the same, and one that does not stays a second value (RFC 9113 §8.3.1). */
function hosts(authority: string, fields: readonly string[]): readonly string[] {
  return fields.length === 0 ? [authority] : [authority, ...fields.filter((h) => h !== authority)]
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
