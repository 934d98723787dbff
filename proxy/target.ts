import type { EncodedChar } from '../config/types.ts'

export interface PathOptions {
  /** What the route's `encoded:` takes; everything else of the kind is refused. */
  readonly encoded?: readonly EncodedChar[]
  /** The request was for `/x` itself, not `/x/`: `{path}` goes away with the slash before it. */
  readonly bare?: boolean
}

/**
 * The path at the upstream: the base address's own path, then `upstream_path` with `{path}` replaced by what the route's
 * star matched. `rest` comes raw and goes on raw. Undefined where it would climb out, or could to an upstream that decodes
 * more than it should (CVE-2026-42274, `..;` of Java servers): the caller answers BAD_REQUEST.
 *
 * @param template a route's `upstream_path`, as the config checked it
 * @param rest what `{path}` stands for, without a leading slash
 * @param base the service's `base_url`
 */
export function buildUpstreamPath(
  template: string,
  rest: string,
  base: URL,
  options: PathOptions = {},
): string | undefined {
  if (!isSafeRest(rest, options.encoded ?? [])) return undefined
  const prefix = basePrefix(base)
  if (!template.endsWith('/{path}')) return prefix + template
  const stem = prefix + template.slice(0, -'/{path}'.length)
  if (rest === '' && options.bare === true) return stem === '' ? '/' : stem
  return `${stem}/${rest}`
}

/** The base address's path without its last slash: `/` is no prefix. */
export function basePrefix(base: URL): string {
  return base.pathname.endsWith('/') ? base.pathname.slice(0, -1) : base.pathname
}

/** Only visible ASCII: anything else would have to be encoded by somebody on the way, each in their own fashion. */
const VISIBLE = /^[!-~]*$/

function isSafeRest(rest: string, encoded: readonly EncodedChar[]): boolean {
  if (rest === '') return true
  if (!VISIBLE.test(rest) || /[?#\\]|%5c|%00/i.test(rest)) return false
  if (rest.startsWith('/') || rest.includes('//')) return false
  if (/%2f/i.test(rest) && !encoded.includes('slash')) return false
  if (/%25/.test(rest) && !encoded.includes('percent')) return false
  if (/;|%3b/i.test(rest) && !encoded.includes('semicolon')) return false
  return !climbs(rest)
}

/** Whether a dot segment stands in it, plain or under as many layers of encoding as some chain of servers may undo. */
function climbs(text: string): boolean {
  let now = text
  for (let layer = 0; layer < 4; layer++) {
    if (now.split(/[/\\;]/).some((s) => s === '.' || s === '..')) return true
    const next = now.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
    if (next === now) return false
    now = next
  }
  return true
}
