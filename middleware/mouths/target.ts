import type { EncodedChar } from '../../config/types.ts'
import type { CanonicalPath } from '../types.ts'

export interface Target {
  readonly path: CanonicalPath
  readonly query: string
  /** Which of the encoded characters it holds that only a route with `encoded:` takes. */
  readonly encoded: readonly EncodedChar[]
}

/** Bytes a browser or a gateway may put into a path raw (RFC 3986 pchar and `/`; some browsers leave `|^[]{}"<>` and backtick raw in queries only). */
const PATH_CHARS = /^[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*$/
const PLAIN_PATH = /^(?:\/[A-Za-z0-9\-_~!$&'()*+,=:@]+(?:\.[A-Za-z0-9\-_~!$&'()*+,=:@]+)*)+\/?$/
/** Anything visible, and raw bytes above ASCII (Traefik passes them): never controls, spaces or `#`. */
const QUERY_CHARS = /^[!"$-~\u0080-\u00ff]*$/
const MAX_TARGET = 16_384

/**
 * Parses a request target into path and query, or refuses it (undefined). What is not canonical is refused, never
 * cleaned and then matched (CVE-2026-48020, CVE-2026-42274, GHSA-pxq7): absolute form, `//`, dot segments plain or
 * encoded, backslashes, controls, `#`, and percent-encoded characters that need no encoding (`/%61dmin`).
 */
export function parseTarget(target: string): Target | undefined {
  if (target.length > MAX_TARGET || !target.startsWith('/')) return undefined
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  const query = mark === -1 ? '' : target.slice(mark + 1)
  if (query !== '' && !QUERY_CHARS.test(query)) return undefined
  // The common case costs one regular expression.
  if (path === '/' || PLAIN_PATH.test(path)) return { path: path as CanonicalPath, query, encoded: [] }
  return PATH_CHARS.test(path) ? parseOddPath(path, query) : undefined
}

function parseOddPath(path: string, query: string): Target | undefined {
  if (path.includes('//')) return undefined
  const encoded = new Set<EncodedChar>()
  if (path.includes(';')) encoded.add('semicolon')
  for (let at = path.indexOf('%'); at !== -1; at = path.indexOf('%', at + 1)) {
    const kind = judgeEscape(path.slice(at + 1, at + 3))
    if (kind === 'bad') return undefined
    if (kind !== 'fine') encoded.add(kind)
  }
  // `..;` is a dot segment to a Java upstream, and `.%2f` would be one to whoever decodes later.
  if (path.split(/\/|;|%2f|%3b/i).some((s) => s === '.' || s === '..')) return undefined
  return { path: path as CanonicalPath, query, encoded: [...encoded] }
}

/** RFC 3986 §2.3: unreserved characters need no encoding, so an encoded one is somebody hiding something. */
function judgeEscape(hex: string): 'fine' | 'bad' | EncodedChar {
  if (!/^[0-9A-Fa-f]{2}$/.test(hex)) return 'bad'
  const byte = parseInt(hex, 16)
  const char = String.fromCharCode(byte)
  if (byte < 0x20 || byte === 0x7f || char === '\\' || /[A-Za-z0-9\-._~]/.test(char)) return 'bad'
  if (char === '/') return 'slash'
  if (char === '%') return 'percent'
  if (char === ';') return 'semicolon'
  return 'fine'
}
