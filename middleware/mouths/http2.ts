import type { RawRequest } from '../types.ts'
import { namesOf, valuesOf } from './header-lines.ts'

/**
 * The HTTP/2 shell's raw request, from names and values in turn as they came: names in lower case, pseudo
 * fields first (RFC 9113 §8.2, §8.3). Cookies may come as several fields (§8.2.3), which stay several lines.
 */
export function rawFromStream(lines: readonly string[], peer: RawRequest['peer']): RawRequest {
  return new StreamRequest(lines, peer)
}

/** A class, so that a request brings no functions of its own. */
class StreamRequest implements RawRequest {
  readonly method: string = 'GET'
  readonly target: string = '/'
  readonly peer: RawRequest['peer']
  private readonly lines: readonly string[]
  private readonly authority: string | undefined
  /** Where the fields begin that are no pseudo fields. */
  private readonly first: number

  constructor(lines: readonly string[], peer: RawRequest['peer']) {
    this.lines = lines
    this.peer = peer
    let at = 0
    for (; lines[at]?.startsWith(':') === true; at += 2) {
      const value = lines[at + 1] ?? ''
      if (lines[at] === ':method') this.method = value
      else if (lines[at] === ':path') this.target = value
      else if (lines[at] === ':authority') this.authority = value
    }
    this.first = at
  }

  all(name: string): readonly string[] {
    const found = valuesOf(this.lines, name)
    return name === 'host' ? this.hosts(found) : found
  }

  names(): readonly string[] {
    return namesOf(this.lines, this.first)
  }

  /** `:authority` is the Host; a field beside it must say the same, and one that does not stays a second value (§8.3.1). */
  private hosts(fields: readonly string[]): readonly string[] {
    const { authority } = this
    if (authority === undefined) return fields
    return fields.length === 0 ? [authority] : [authority, ...fields.filter((h) => h !== authority)]
  }
}
