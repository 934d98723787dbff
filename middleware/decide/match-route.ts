import type { Route } from '../../config/types.ts'
import type { CanonicalPath, Context, DecideDeps, Decision, Refuse, RequestFacts, RouteMatch } from '../types.ts'
import { readingsOf } from './readings.ts'

const NO_REQUIRE: Route['require'] = { groups: [], scopes: [], claims: {}, acr: [], networks: [] }

const BARRED = {
  method: 'no route of this path lists the method',
  case: 'another case of this path has a route of its own',
} as const

/**
 * Which route the request is for. `?service=` narrows and never widens: the matched route must have that target_service;
 * only where no route has the path does a pin stand alone, with plain session rules.
 */
export function matchRoute(c: Context, deps: DecideDeps): Decision | undefined {
  const { facts } = c
  const asked = facts.preflight ? { ...facts, method: facts.preflightMethod ?? facts.method } : facts
  const found = deps.now.match(asked)
  const { won, barred } = found
  const route = won ?? (facts.pinned === undefined || barred !== undefined ? undefined : pinnedRoute(facts.pinned))
  if (facts.encoded.length > 0 && facts.encoded.some((e) => route?.encoded.includes(e) !== true))
    return no('BAD_REQUEST', 'encoded character that no route takes', route)
  if (!isReadAlike(asked, found, deps)) return no('BAD_REQUEST', 'decoded, the path is for another route', route)
  if (!isDoneAlike(asked, found, deps)) return no('BAD_REQUEST', 'the method in a header is for another route', route)
  if (route === undefined) return no('NO_ROUTE', barred === undefined ? 'no route' : BARRED[barred])
  if (facts.pinned !== undefined && route.service !== facts.pinned)
    return no('FORBIDDEN', 'service= contradicts the route', route)
  if (route.auth === 'deny') return no('FORBIDDEN', 'auth: deny', route)
  c.route = route
  return undefined
}

/**
 * Whether every reading of the path (decoded once, twice, without `;…`) is for the route that won. An upstream may read it
 * any of these ways, and would else serve `/admin` under the rules of the looser route that `/x%2Fadmin` met.
 */
function isReadAlike(asked: Parameters<DecideDeps['now']['match']>[0], found: RouteMatch, deps: DecideDeps): boolean {
  if (!/[%;]/.test(asked.path)) return true
  const readings = readingsOf(asked.path)
  return (
    readings?.every((path) => {
      const { won, barred } = deps.now.match({ ...asked, path: path as CanonicalPath })
      return won === found.won && barred === found.barred
    }) === true
  )
}

/** Whether an upstream that takes another method from a header would do what this very route allows. */
function isDoneAlike(asked: RequestFacts, found: RouteMatch, deps: DecideDeps): boolean {
  const { overrides } = asked
  return overrides.length === 0 || overrides.every((method) => deps.now.match({ ...asked, method }).won === found.won)
}

/** A pin with no route beside it: plain `session` and `csrf: token`. */
function pinnedRoute(service: string): Route {
  return {
    id: `service:${service}`,
    path: '/*',
    methods: [],
    auth: 'session',
    csrf: 'token',
    require: NO_REQUIRE,
    encoded: [],
    bearer: [],
    service,
  }
}

/**
 * Public routes, and preflights of configured origins, read no session and no store: they stay up while Redis or the
 * provider is down, and carry no identity and no token of ours.
 */
export function allowAnonymous(c: Context, deps: DecideDeps): Decision | undefined {
  const route = c.route
  if (route === undefined) return undefined
  if (route.auth !== 'public' && !isAllowedPreflight(c.facts, deps)) return undefined
  return {
    kind: 'allow',
    principal: { kind: 'anonymous' },
    route,
    set: [['X-Correlation-ID', c.facts.correlationId]],
    token: undefined,
    openUntil: undefined,
  }
}

function isAllowedPreflight(f: RequestFacts, deps: DecideDeps): boolean {
  return f.preflight && f.csrf.origin !== undefined && deps.now.settings.server.corsOrigins.includes(f.csrf.origin)
}

function no(code: Refuse['code'], why: string, route?: Route): Refuse {
  return { kind: 'refuse', code, why, ...(route === undefined ? {} : { route }) }
}
