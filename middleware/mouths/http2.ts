import type { RawRequest } from '../types.ts'
import { LinesRequest } from './header-lines.ts'

/**
 * The HTTP/2 shell's raw request, from names and values in turn as they came: names in lower case, pseudo fields first
 * (RFC 9113 §8.2, §8.3). Cookies may come as several fields (§8.2.3), which stay several lines.
 */
export function rawFromStream(lines: readonly string[], peer: RawRequest['peer']): RawRequest {
  let [method, target] = ['GET', '/']
  let authority: string | undefined
  let at = 0
  for (; lines[at]?.startsWith(':') === true; at += 2) {
    const value = lines[at + 1] ?? ''
    if (lines[at] === ':method') method = value
    else if (lines[at] === ':path') target = value
    else if (lines[at] === ':authority') authority = value
  }
  return new LinesRequest({ method, target, peer }, lines, at, authority)
}
