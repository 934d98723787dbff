import type { Route } from '../../config/types.ts'
import type { RequestFacts, RouteMatch } from '../types.ts'

type Wanted = Pick<RequestFacts, 'method' | 'hostname' | 'path'>

/** Routes of one path on one host: they differ by their methods only (config refuses an overlap). */
interface Leaf {
  readonly host: string | undefined
  readonly pattern: string
  readonly wildcard: boolean
  readonly routes: Route[]
}

interface Table {
  readonly exact: Map<string, Leaf[]>
  /** By prefix without the `/*`. */
  readonly below: Map<string, Leaf[]>
}

/**
 * Compiles routes for lookup by path. The most specific path wins: an exact one, else the longest `/x/*` (which matches
 * `/x`, `/x/` and below). Among equals the route that names the host wins, then one for `*.` of its domain. The path decides before the method does, so
 * that a method which a strict route leaves out never falls through to a looser one; a method that none lists matches
 * nothing. Cost depends on the depth of the path, not on the number of routes.
 */
export function compileRoutes(routes: readonly Route[]): (f: Wanted) => RouteMatch {
  const table: Table = { exact: new Map(), below: new Map() }
  for (const route of routes) addRoute(table, route)
  for (const leaves of [...table.exact.values(), ...table.below.values()]) {
    leaves.sort((a, b) => hostRank(a) - hostRank(b))
  }
  const folded = foldedPatterns(routes)
  return (f) => {
    const candidates = candidatesFor(table, f)
    const first = candidates[0]
    if (hidesCase(folded, f.path, first)) return { won: undefined, barred: 'case', rest: '', over: [] }
    if (first === undefined) return { won: undefined, rest: '', over: [] }
    const won = first.routes.find((r) => r.methods.length === 0 || r.methods.includes(f.method))
    const rest = first.wildcard ? restOf(f.path, first.pattern) : ''
    const over = candidates.length === 1 ? NOBODY : candidates.slice(1).flatMap((l) => l.routes)
    return won === undefined ? { won, barred: 'method', rest, over } : { won, rest, over }
  }
}

const NOBODY: readonly Route[] = []

function addRoute(table: Table, route: Route): void {
  const wildcard = route.path.endsWith('/*')
  const pattern = wildcard ? route.path.slice(0, -2) : route.path
  addLeaf(table, route, pattern, wildcard)
  // `/a%20b` is read as `/a b` by whoever decodes it: no request says that, and the reading is for the same route.
  const read = decodeUnsayable(pattern)
  if (read !== pattern) addLeaf(table, route, read, wildcard)
}

/** Escapes of what no request path can hold raw: all that a route's path may encode, other than letters beyond ASCII. */
function decodeUnsayable(pattern: string): string {
  return pattern.replace(/%([2-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
}

function addLeaf(table: Table, route: Route, pattern: string, wildcard: boolean): void {
  const map = wildcard ? table.below : table.exact
  const leaves = map.get(pattern) ?? []
  const host = route.host?.toLowerCase()
  const leaf = leaves.find((l) => l.host === host)
  if (leaf === undefined) leaves.push({ host, pattern, wildcard, routes: [route] })
  else leaf.routes.push(route)
  map.set(pattern, leaves)
}

/** The host itself, then one for a label of its domain, then any. */
function hostRank({ host }: Leaf): number {
  return host === undefined ? 2 : host.startsWith('*.') ? 1 : 0
}

function holdsOn({ host }: Leaf, hostname: string): boolean {
  if (host === undefined || host === hostname) return true
  return host.startsWith('*.') && hostname.slice(hostname.indexOf('.')) === host.slice(1)
}

function candidatesFor(table: Table, f: Wanted): Leaf[] {
  const found: Leaf[] = []
  take(found, table.exact.get(f.path), f)
  let prefix: string = f.path
  for (;;) {
    take(found, table.below.get(prefix), f)
    const slash = prefix.lastIndexOf('/')
    if (slash === -1) return found
    prefix = prefix.slice(0, slash)
  }
}

function take(into: Leaf[], leaves: readonly Leaf[] | undefined, { hostname }: Wanted): void {
  if (leaves === undefined) return
  for (const leaf of leaves) if (holdsOn(leaf, hostname)) into.push(leaf)
}

/** What `{path}` stands for: `/x/*` over `/x/a/b` gives `a/b`, over `/x/` and `/x` the empty string. */
function restOf(path: string, pattern: string): string {
  return path.slice(pattern.length + 1)
}

/** Patterns by their lower-case form, for the check below. */
function foldedPatterns(routes: readonly Route[]): ReadonlySet<string> {
  return new Set(routes.map((r) => (r.path.endsWith('/*') ? r.path.slice(0, -2) : r.path).toLowerCase()))
}

/**
 * Whether another case of the same path would have met a more specific route: `/ADMIN` beside a route `/admin`. An upstream
 * that ignores case would serve it under the looser route's rules, so such a path matches nothing.
 */
function hidesCase(folded: ReadonlySet<string>, path: string, won: Leaf | undefined): boolean {
  const lower = path.toLowerCase()
  if (lower === path) return false
  const least = won?.pattern.length ?? 0
  let prefix = lower
  while (prefix.length > least) {
    if (folded.has(prefix)) return true
    prefix = prefix.slice(0, prefix.lastIndexOf('/'))
  }
  return won !== undefined && won.pattern !== path.slice(0, won.pattern.length)
}
