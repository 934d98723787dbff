import { Refused } from '../finding.ts'

/** The keys of a dotted path into claims. `\.` is a dot in a name, `\\` a backslash. */
export function splitClaimPath(path: string): readonly string[] {
  const keys: string[] = []
  let key = ''
  for (const [part = ''] of path.matchAll(/\\[\\.]|[^]/g)) {
    if (part === '.') {
      keys.push(key)
      key = ''
    } else key += part.length === 2 && part.startsWith('\\') ? part.slice(1) : part
  }
  keys.push(key)
  return keys
}

/** A path into claims as it is written. A claim's own name may be a URL, which no rule about dots may refuse. */
export function parseClaimPath(text: string): string | Refused {
  const isUrl = /^https?:\/\/\S+$/.test(text)
  if (!isUrl && splitClaimPath(text).includes(''))
    return new Refused('CLAIM_PATH', 'this is no dotted path into the claims', 'Write department.name.')
  return text
}
