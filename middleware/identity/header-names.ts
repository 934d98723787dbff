import type { Settings } from '../../config/types.ts'
import {
  ASSERTION_HEADER,
  CORRELATION_HEADER,
  ISSUER_HEADER,
  PRESETS,
  type HeaderSource,
} from '../../config/values/header-presets.ts'

export { ASSERTION_HEADER, CORRELATION_HEADER, ISSUER_HEADER, PRESETS, type HeaderSource }

/** Never set: it is between a page and us, and no upstream's to see. */
const CSRF_HEADER_NAME = 'X-CSRF-Token'

/** oauth2-proxy's `pass_access_token`: never set here (a service gets its own token), and never a client's to set. */
const NEVER_SET = ['X-Forwarded-Access-Token', 'X-Auth-Request-Access-Token']

/** Names of every preset, whichever is on: a client's copy must not reach an upstream that still believes one of them. */
const ALWAYS = [
  CORRELATION_HEADER,
  ISSUER_HEADER,
  ASSERTION_HEADER,
  CSRF_HEADER_NAME,
  ...Object.values(PRESETS).flatMap((headers) => Object.keys(headers)),
  ...NEVER_SET,
]

/** What names depend on. */
interface Named {
  readonly identity: Pick<Settings['identity'], 'map'>
}

/** Every identity header there is, and those of the operator's map: what a client sends under these names never counts. */
export function identityHeaderNames(settings: Named): readonly string[] {
  const names = [...ALWAYS, ...Object.keys(settings.identity.map)]
  const seen = new Set<string>()
  return names.filter((n) => !seen.has(n.toLowerCase()) && seen.add(n.toLowerCase()))
}

/** Traefik's `authResponseHeaders`: a name not listed passes from the client, one that is listed and omitted is deleted. */
export function authResponseHeaders(settings: Named): readonly string[] {
  return ['Authorization', 'Cookie', ...identityHeaderNames(settings)]
}

/** `X-User-ID` and every spelling that some server folds into it: `X_User_ID`, `x.user.id`, `X~User~ID` (CVE-2025-64484). */
export function foldHeaderName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '-')
}

/**
 * Every spelling of every name as one regular expression (Go RE2 syntax), for Traefik's `authResponseHeadersRegex`. Traefik asks
 * it of each header of each request: what names begin with alike is written once, and Go is done in a third of the time.
 */
export function aliasRegex(settings: Named): string {
  const names = identityHeaderNames(settings).map((name) => name.toLowerCase().split(/[^a-z0-9]/))
  return `(?i)^(?:${alternatives(names).join('|')})$`
}

/** Names, word by word: each next word once, with all that may follow it. */
function alternatives(names: readonly (readonly string[])[]): readonly string[] {
  const byWord = Map.groupBy(names, ([word = '']) => word)
  return [...byWord.keys()].sort().map((word) => {
    const all = byWord.get(word) ?? []
    const longer = all.map((name) => name.slice(1)).filter((rest) => rest.length > 0)
    if (longer.length === 0) return word
    const next = alternatives(longer)
    const more = `[^a-z0-9]${next.length === 1 ? (next[0] ?? '') : `(?:${next.join('|')})`}`
    return longer.length < all.length ? `${word}(?:${more})?` : word + more
  })
}

/** Tells whether a header name is one of ours, in any spelling. */
export function compileOurHeaders(settings: Named): {
  readonly isOurs: (name: string) => boolean
  readonly isAlias: (name: string) => boolean
} {
  const exact = new Set(identityHeaderNames(settings).map((n) => n.toLowerCase()))
  const folded = new Set([...exact].map(foldHeaderName))
  // Where our names are letters, digits and dashes, another spelling of them is not: most headers are told at a glance.
  const plain = [...exact].every((n) => /^[a-z0-9-]+$/.test(n))
  return {
    isOurs: (name) => folded.has(foldHeaderName(name)),
    isAlias: (name) =>
      plain && /^[a-z0-9-]+$/i.test(name) ? false : !exact.has(name.toLowerCase()) && folded.has(foldHeaderName(name)),
  }
}
