import type { Route, Settings } from '../../config/types.ts'
import { buildForwardAuth, type ForwardAuth, type ForwardAuthOptions } from './middleware.ts'
import { endpointsRule, hostRule, methodRule, pathRule, publicHosts, verifyRule } from './rules.ts'

export interface GenerateOptions extends Omit<ForwardAuthOptions, 'service'> {
  readonly entryPoint: string
  /** Routers take TLS connections alone; else that is the entry point's own matter. */
  readonly tls: boolean
  /** Services of Traefik's that exist already, by target service or route id: `spa` to `spa@docker`. */
  readonly upstreams: Readonly<Record<string, string>>
}

export interface PlannedRouter {
  readonly name: string
  readonly rule: string
  readonly priority: number
  readonly middlewares: readonly string[]
  /** A key of `Plan.services`, or a service of Traefik's with its provider (`noop@internal`). */
  readonly service: string
  readonly about: string
}

/** What all three outputs say, each in its own words. */
export interface Plan {
  readonly forwardAuths: ReadonlyMap<string, ForwardAuth>
  /** addPrefix: the path of a `base_url`. */
  readonly prefixes: ReadonlyMap<string, string>
  readonly routers: readonly PlannedRouter[]
  /** Upstreams in header mode, by the name of their Traefik service. */
  readonly services: ReadonlyMap<string, URL>
  /** What is left for the operator to say. */
  readonly notes: readonly string[]
}

/** The name of the Traefik service that is this service. */
export const BFF = 'bff'
const NOWHERE = 'noop@internal'
/** Above what Traefik gives a rule by its length. */
const BASE_PRIORITY = 10_000
const EXACT = 1_000_000
const OWN = 2_000_000

interface Backend {
  readonly middlewares: readonly string[]
  readonly service: string
}

/**
 * Traefik's routers for our routes. Which of them takes a request follows from its host and path alone, in our own order
 * (exact, then the longest, then the named host), so that the check and the upstream are for the same route; a method that
 * no route lists is still ours to refuse.
 */
export function planTraefik(settings: Settings, o: GenerateOptions): Plan {
  const names = createNames()
  const forwardAuths = new Map<string, ForwardAuth>()
  const prefixes = new Map<string, string>()
  const services = new Map<string, URL>()
  const notes: string[] = []
  const auth = (service: string | undefined): string => {
    const name = service === undefined ? 'bff-auth' : names('middleware', `bff-auth-${service}`)
    if (!forwardAuths.has(name))
      forwardAuths.set(name, buildForwardAuth(settings, { ...o, ...(service === undefined ? {} : { service }) }))
    return name
  }
  const backendOf = (r: Route): Backend => {
    if (r.upstreamPath !== undefined) return { middlewares: [], service: BFF }
    const given = o.upstreams[r.service ?? r.id]
    const base = r.service === undefined ? undefined : settings.services.get(r.service)?.baseUrl
    const checked = auth(r.service)
    if (r.auth === 'deny') return { middlewares: [checked], service: NOWHERE }
    if (given !== undefined) return { middlewares: [checked], service: given }
    if (base === undefined || r.service === undefined) {
      notes.push(nowhere(r))
      return { middlewares: [checked], service: NOWHERE }
    }
    const name = names('service', `bff-${r.service}`)
    services.set(name, base)
    const prefix = base.pathname.replace(/\/$/, '')
    if (prefix === '') return { middlewares: [checked], service: name }
    const path = names('middleware', `bff-path-${r.service}`)
    prefixes.set(path, prefix)
    return { middlewares: [checked, path], service: name }
  }
  const routers = leavesOf(settings.routes).flatMap((leaf) => {
    const hosts = leaf[0]?.host === undefined ? publicHosts(settings.server.publicUrls) : [leaf[0].host]
    return routersOf(leaf, hosts, backendOf, auth).map((r) => ({ ...r, name: names('router', r.name) }))
  })
  return {
    forwardAuths,
    prefixes,
    services,
    routers: [...ownRouters(settings), ...routers.sort((a, b) => b.priority - a.priority)],
    notes: [...new Set(notes)],
  }
}

function nowhere(r: Route): string {
  return r.service === undefined
    ? `route ${r.id}: without target_service nothing says where it leads; what may pass ends in 418. --upstream ${r.id}=<service>@<provider> names a service of Traefik's`
    : `service ${r.service}: without services.${r.service}.base_url nothing says where it is; what may pass ends in 418. Add it, or --upstream ${r.service}=<service>@<provider>`
}

function ownRouters({ server }: Settings): PlannedRouter[] {
  const hosts = hostRule(publicHosts(server.publicUrls))
  const own = { middlewares: [], priority: OWN }
  return [
    {
      ...own,
      name: 'bff-verify-is-not-public',
      rule: `${hosts} && ${verifyRule(server.basePath)}`,
      priority: OWN + 1,
      service: NOWHERE,
      about: 'Whoever reached verify through a router would be shown the service token.',
    },
    {
      ...own,
      name: BFF,
      rule: `${hosts} && ${endpointsRule(server.basePath)}`,
      service: BFF,
      about: 'The browser’s own endpoints. No forwardAuth here.',
    },
  ]
}

/** Routes of one path on one host: they differ by their methods alone. */
function leavesOf(routes: readonly Route[]): readonly (readonly Route[])[] {
  return [...Map.groupBy(routes, (r) => `${r.path} ${r.host ?? ''}`).values()]
}

/** One router where all methods lead to one place; else one for each place, and one below them that has the rest refused. */
function routersOf(
  leaf: readonly Route[],
  hosts: readonly string[],
  backendOf: (r: Route) => Backend,
  auth: (service: undefined) => string,
): PlannedRouter[] {
  const [first] = leaf
  if (first === undefined) return []
  const rule = `${hostRule(hosts)} && ${pathRule(first.path)}`
  const priority = priorityOf(first)
  const groups = [...Map.groupBy(leaf, (r) => JSON.stringify(backendOf(r))).values()]
  const router = (routes: readonly Route[], more: Partial<PlannedRouter> = {}): PlannedRouter => ({
    name: `bff-${routes[0]?.id ?? ''}`,
    rule,
    priority,
    ...backendOf(routes[0] ?? first),
    about: routes.map(inWords).join('; '),
    ...more,
  })
  if (groups.length <= 1) return [router(leaf)]
  const split = groups.map((routes) => {
    const methods = routes.flatMap((r) => r.methods)
    // Last, since it would take the preflights of the others.
    return router(routes, {
      rule: `${rule} && ${methodRule(methods)}`,
      priority: priority + (methods.includes('OPTIONS') ? 1 : 2),
    })
  })
  const rest = { middlewares: [auth(undefined)], service: NOWHERE, about: 'Other methods of this path: refused.' }
  return [...split, router(leaf, { name: `bff-${first.id}-other-methods`, ...rest })]
}

function inWords(r: Route): string {
  const methods = r.methods.length === 0 ? '' : `${r.methods.join(', ')} `
  const mode = r.upstreamPath === undefined ? 'header mode' : 'proxied by the service'
  return `${r.id}: ${methods}${r.host ?? ''}${r.path}, ${r.auth === 'session' ? '' : `${r.auth}, `}${mode}`
}

/** Exact before `/x/*`, then the longer path, then the host by name, then one of its domain, then any. */
function priorityOf({ path, host }: Route): number {
  const exact = !path.endsWith('/*')
  const named = host === undefined ? 0 : host.startsWith('*.') ? 1 : 2
  return BASE_PRIORITY + (exact ? EXACT : 10 * (path.length - 2)) + 3 * named
}

/** Names that every provider takes: small letters, digits, dashes; the same for the same thing, another for another. */
function createNames(): (kind: string, wanted: string) => string {
  const given = new Map<string, string>()
  const taken = new Set(['router bff', 'router bff-verify-is-not-public', 'middleware bff-auth', 'service bff'])
  return (kind, wanted) => {
    const before = given.get(`${kind} ${wanted}`)
    if (before !== undefined) return before
    const plain = wanted
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
      .slice(0, 56)
    let name = plain
    for (let n = 2; taken.has(`${kind} ${name}`); n += 1) name = `${plain}-${n}`
    taken.add(`${kind} ${name}`)
    given.set(`${kind} ${wanted}`, name)
    return name
  }
}
