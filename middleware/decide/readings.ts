/** More readings than this is a path that somebody built to be many things. */
const MOST = 32

/**
 * Every other way in which an upstream may read a path: percent-decoded, layer by layer, with path parameters (`;…`, RFC 3986
 * §3.3) cut as Java servers do, and ended where a decoded `?` or `#` would end it. Undefined: one of the readings holds `//`,
 * a dot segment, a backslash or a control, which some server would resolve to yet another path (CVE-2026-42274).
 */
export function readingsOf(path: string): readonly string[] | undefined {
  const seen = new Set([path])
  for (const form of seen) {
    if (form !== path && isAmbiguous(form)) return undefined
    for (const next of [decodeOnce(form), form.replace(/;[^/]*/g, ''), form.replace(/[?#].*$/s, '')]) seen.add(next)
    if (seen.size > MOST) return undefined
  }
  seen.delete(path)
  return [...seen]
}

/** Only ASCII matters here: no route pattern holds anything else. What is no escape stays as it is. */
function decodeOnce(path: string): string {
  return path.replace(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
}

// Controls are among what it looks for.
const AMBIGUOUS = /\/\/|[\\\u0000-\u001f\u007f]|(?:^|\/)\.{1,2}(?:[/;?#]|$)/

function isAmbiguous(path: string): boolean {
  return AMBIGUOUS.test(path)
}
