import type { PublicUrl } from '../../config/types.ts'

/** Any of the hosts, each with any port: Traefik compares names without it. */
export function hostRule(hosts: readonly string[]): string {
  const all = [...new Set(hosts.flatMap(oneHost))]
  return all.length === 1 ? (all[0] ?? '') : `(${all.join(' || ')})`
}

/** A star is one label, as for us; an IPv6 address may come with and without brackets. */
function oneHost(host: string): string[] {
  if (host.startsWith('*.')) return [`HostRegexp(${quote(`^[a-z0-9-]+${escapeRegex(host.slice(1))}$`)})`]
  return host.startsWith('[') ? [`Host(${quote(host)})`, `Host(${quote(host.slice(1, -1))})`] : [`Host(${quote(host)})`]
}

/** The names of the public URLs, as a route's `host` writes them. */
export function publicHosts(urls: readonly PublicUrl[]): readonly string[] {
  return [...new Set(urls.map((u) => u.hostname))]
}

/** `/x/*` is `/x` and what is below; a bare PathPrefix would take `/xy` too. */
export function pathRule(path: string): string {
  if (path === '/*') return 'PathPrefix(`/`)'
  if (!path.endsWith('/*')) return `Path(${quote(decode(path))})`
  const stem = decode(path.slice(0, -2))
  return `(Path(${quote(stem)}) || PathPrefix(${quote(`${stem}/`)}))`
}

/** Each method by itself, and the preflights that ask on behalf of one: we judge those by the method that they name. */
export function methodRule(methods: readonly string[]): string {
  const preflight = methods.map((m) => `Header(\`Access-Control-Request-Method\`, ${quote(m)})`)
  return `(${methods.map((m) => `Method(${quote(m)})`).join(' || ')} || (Method(\`OPTIONS\`) && ${either(preflight)}))`
}

const either = (rules: readonly string[]): string => (rules.length === 1 ? (rules[0] ?? '') : `(${rules.join(' || ')})`)

/** What a browser may ask of the service itself. */
export function endpointsRule(basePath: string): string {
  return `(PathPrefix(\`${basePath}/\`) || Path(\`/api/auth/session\`)) && !${verifyRule(basePath)}`
}

/** Whatever spells our verify addresses. A base path holds nothing that a regular expression reads. */
export function verifyRule(basePath: string): string {
  return `PathRegexp(\`(?i)^${basePath}/+(verify|forward)\`)`
}

/** Rules match on the decoded path. */
function decode(path: string): string {
  return decodeURIComponent(path)
}

const escapeRegex = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** Go's raw string where it can be, else its quoted one. */
function quote(text: string): string {
  return text.includes('`') ? JSON.stringify(text) : `\`${text}\``
}
