import type { Settings } from '../../config/types.ts'
import { entries, flag, get, listed, type TraefikFile } from './facts.ts'

const TAKEN = {
  allowEncodedSlash: 'slash',
  allowEncodedPercent: 'percent',
  allowEncodedSemicolon: 'semicolon',
} as const
const NEVER = ['allowEncodedBackSlash', 'allowEncodedNullCharacter'] as const
const SECRET_HEADERS = ['Authorization', 'Cookie']

/** Whether some entry point takes header names as they come, so that aliases of ours are the middleware's to remove. */
export function takesAliases(file: TraefikFile): boolean {
  return entries(get(file.root, 'entryPoints')).some(([, e]) => !/^(?:reject|delete)$/.test(aliasStrategy(e)))
}

const aliasStrategy = (entryPoint: unknown): string => {
  const said = get(entryPoint, 'http', 'aliasHeadersStrategy')
  return typeof said === 'string' ? said.toLowerCase() : ''
}

/** What Traefik's static configuration does to the boundary (docs/traefik.md, "The entry point"). */
export function checkStatic(file: TraefikFile, settings: Settings): void {
  for (const [name, e] of entries(get(file.root, 'entryPoints'))) checkEntryPoint(file, settings, name, e)
  const headers = get(file.root, 'accessLog', 'fields', 'headers')
  if (String(get(headers, 'defaultMode')).toLowerCase() !== 'keep') return
  const written = SECRET_HEADERS.filter(
    (h) =>
      !entries(get(headers, 'names')).some(
        ([n, mode]) => n.toLowerCase() === h.toLowerCase() && String(mode).toLowerCase() !== 'keep',
      ),
  )
  if (written.length > 0)
    file.say(
      'fault',
      ['accessLog', 'fields', 'headers', 'defaultMode'],
      'TRAEFIK_LOGS_SECRETS',
      `the access log writes ${listed(written)}: service tokens and session cookies`,
      'defaultMode: drop, or names: { Authorization: drop, Cookie: drop }.',
    )
}

function checkEntryPoint(file: TraefikFile, settings: Settings, name: string, e: unknown): void {
  const at = ['entryPoints', name]
  if (flag(get(e, 'forwardedHeaders', 'insecure')) === true)
    file.say(
      'fault',
      [...at, 'forwardedHeaders', 'insecure'],
      'TRAEFIK_TRUSTS_ANYBODY',
      'every client’s X-Forwarded-* is believed, its address too',
      'insecure: false; name the proxies before Traefik in trustedIPs.',
    )
  if (flag(get(e, 'http', 'sanitizePath')) === false)
    file.say(
      'fault',
      [...at, 'http', 'sanitizePath'],
      'TRAEFIK_RAW_PATHS',
      '/public/../admin is routed by its first part and served by its last',
      'Leave it out: true is the default.',
    )
  const both = get(e, 'http', 'aliasHeadersStrategy') !== undefined
  if (both && get(e, 'http', 'underscoreHeadersStrategy') !== undefined)
    file.say(
      'warning',
      [...at, 'http', 'underscoreHeadersStrategy'],
      'TRAEFIK_TWO_STRATEGIES',
      'aliasHeadersStrategy takes its place; where the two differ Traefik does not start',
      'Remove underscoreHeadersStrategy.',
    )
  if (!/^(?:reject|delete)$/.test(aliasStrategy(e)))
    file.say(
      'warning',
      [...at, 'http', 'aliasHeadersStrategy'],
      'TRAEFIK_TAKES_ALIASES',
      'X_User_ID and the like come in; some upstreams read them as X-User-ID',
      'http: { aliasHeadersStrategy: reject }.',
    )
  const wanted = new Set<string>(settings.routes.flatMap((r) => r.encoded))
  const encoded = get(e, 'http', 'encodedCharacters')
  for (const key of NEVER)
    if (flag(get(encoded, key)) === true)
      file.say('warning', [...at, 'http', 'encodedCharacters', key], 'TRAEFIK_ENCODED', 'no route of ours takes these')
  for (const [key, char] of Object.entries(TAKEN))
    if (flag(get(encoded, key)) === true && !wanted.has(char))
      file.say(
        'warning',
        [...at, 'http', 'encodedCharacters', key],
        'TRAEFIK_ENCODED',
        `no route says encoded: [${char}]; other upstreams behind this entry point may decode it`,
      )
}
