import { Refused } from '../finding.ts'

const MEND = 'Write it as it stands on a request line, with no way to write it twice: /api/orders/* or /api/orders.'

/** A route's path: canonical, for a request path that is not is refused and never cleaned; `*` as a last segment only. */
export function parseRoutePath(text: string): string | Refused {
  const bad = notCanonical(text)
  if (bad !== undefined) return new Refused('BAD_PATH', `the path ${bad}`, MEND)
  const never = neverMatches(text)
  if (never !== undefined) return new Refused('BAD_PATH', `the path ${never}`, MEND)
  if (/\*/.test(text.endsWith('/*') ? text.slice(0, -1) : text))
    return new Refused(
      'BAD_PATH',
      'a star stands elsewhere than as the last segment',
      'End the path in /* to match it and all below.',
    )
  if (/[{}]/.test(text))
    return new Refused('BAD_PATH', 'a path has no {parameters}', 'End the path in /*; {path} belongs to upstream_path.')
  return text
}

/** Where a proxied request goes below `base_url`: at most one `{path}`, as the last segment. */
export function parseUpstreamPath(text: string): string | Refused {
  const plain = text.endsWith('/{path}') ? text.slice(0, -'{path}'.length) : text
  const bad = notCanonical(plain)
  if (bad !== undefined)
    return new Refused('BAD_UPSTREAM_PATH', `upstream_path ${bad}`, 'Write /v1/orders/{path} or /v1/orders.')
  if (/[{}*]/.test(plain))
    return new Refused(
      'BAD_UPSTREAM_PATH',
      '{path} stands elsewhere than as the last segment',
      'Write /v1/orders/{path}.',
    )
  return text
}

/** Where our own endpoints are: `/auth`. Letters, digits, `-`, `_` and `/`, so that it means the same to every gateway. */
export function parseBasePath(text: string): string | Refused {
  if (/^(?:\/[A-Za-z0-9_-]+)+$/.test(text)) return text
  return new Refused(
    'BAD_BASE_PATH',
    'this is not a base path',
    'Write /auth or /app/auth: no slash at the end, not / alone.',
  )
}

/** What no request that we take has: some upstream would read it as another path, or Traefik writes it in another way. */
function neverMatches(text: string): string | undefined {
  for (const [, hex = ''] of text.matchAll(/%([0-9A-Fa-f]{2})/g)) {
    if (hex !== hex.toUpperCase()) return 'has an escape in small letters: Traefik writes it in capitals'
    if (/[!$&'()*+,;=:@?#]/.test(String.fromCharCode(parseInt(hex, 16))))
      return 'encodes a character that also stands raw, as another path'
  }
  return undefined
}

/** RFC 3986 §6: what makes two spellings of one path, and so must not stand in a rule. */
function notCanonical(text: string): string | undefined {
  if (!text.startsWith('/')) return 'does not begin with /'
  if (/[?#]/.test(text)) return 'holds a query or a fragment'
  if (!/^[!-~]*$/.test(text)) return 'holds a blank or a character that a request line writes as %XX'
  if (text.includes('\\')) return 'holds a backslash'
  if (text.includes('//')) return 'holds an empty segment (//)'
  if (text.split('/').some((s) => s === '.' || s === '..')) return 'holds a . or .. segment'
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return 'holds a % that encodes nothing'
  for (const [, hex = ''] of text.matchAll(/%([0-9A-Fa-f]{2})/g)) {
    const ch = String.fromCharCode(parseInt(hex, 16))
    if (/[A-Za-z0-9._~-]/.test(ch)) return 'encodes a character that needs no encoding'
    if (/[/\\%]/.test(ch) || ch < ' ') return 'encodes a slash, a backslash, a percent sign or a control'
  }
  return undefined
}
