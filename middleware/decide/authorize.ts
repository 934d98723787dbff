import type { Require, Route } from '../../config/types.ts'
import { readScopes } from '../broker/audience.ts'
import { groupsOf, holdsClaim } from '../identity/claims.ts'
import type { Claims, Context, DecideDeps, Decision, Generation, Refuse } from '../types.ts'
import { compileNetworks } from './peers.ts'
import { about, stepUp, strengthOf, type Strength } from './step-up.ts'

/** `require` of the route and of its service: both must hold (R23). Scopes wait for the token. */
export function authorize(c: Context, deps: DecideDeps): Decision | undefined {
  const { rules, strength, asksNothing } = rulesFor(c, deps)
  if (asksNothing) return undefined
  for (const r of rules) for (const [rule, holds] of conditionsOf(c, deps, r)) if (!holds) return forbid(c, rule())
  return stepUp(c, deps, strength)
}

/** After the token is there: any of the listed scopes must be the token's, or the machine caller's own. */
export function authorizeScopes(c: Context, deps: DecideDeps): Decision | undefined {
  const { rules, asksScopes } = rulesFor(c, deps)
  if (!asksScopes) return undefined
  for (const r of rules) if (!hasScope(c, deps, r)) return forbid(c, scopesInWords(r))
  return undefined
}

/** What a route and its service ask for together. Most ask for nothing. */
interface Rules {
  readonly of: Generation
  readonly rules: readonly Require[]
  readonly strength: Strength
  readonly asksNothing: boolean
  readonly asksScopes: boolean
}

const known = new WeakMap<Route, Rules>()

function rulesFor(c: Context, deps: DecideDeps): Rules {
  const before = c.route === undefined ? undefined : known.get(c.route)
  // Whatever a reload keeps of the one before, its services are others.
  if (before?.of === deps.now) return before
  const rules = rulesOf(c, deps)
  const strength = strengthOf(rules)
  const made = {
    of: deps.now,
    rules,
    strength,
    asksNothing: strength.acr === undefined && strength.maxAgeS === undefined && rules.every(asksNoCondition),
    asksScopes: rules.some((r) => r.scopes.length > 0),
  }
  if (c.route !== undefined) known.set(c.route, made)
  return made
}

/** Nothing of what `conditionsOf` looks at. */
function asksNoCondition(r: Require): boolean {
  return r.groups.length === 0 && r.networks.length === 0 && Object.keys(r.claims).length === 0
}

function hasScope(c: Context, deps: DecideDeps, { scopes }: Require): boolean {
  if (scopes.length === 0) return true
  const has = scopesOf(c, deps)
  return scopes.some((s) => has.includes(s))
}

const scopesInWords = ({ scopes }: Require): string => `scopes: one of ${scopes.join(' ')}`

function scopesOf(c: Context, deps: DecideDeps): readonly string[] {
  const { principal, token, route } = c
  if (principal?.kind !== 'machine') return token?.scopes ?? []
  const service = route?.service === undefined ? undefined : deps.now.settings.services.get(route.service)
  // A token of our own machine's is the same for every caller, so it says nothing of what this one may.
  const own = token === undefined || service?.strategy === 'client_credentials'
  return own ? (readScopes(principal.claims) ?? []) : token.scopes
}

function rulesOf(c: Context, deps: DecideDeps): Require[] {
  const service = c.route?.service === undefined ? undefined : deps.now.settings.services.get(c.route.service)
  return [c.route?.require, service?.require].filter((r) => r !== undefined)
}

function claimsOf(c: Context): Claims {
  if (c.principal?.kind === 'user') return c.principal.session.state.identity
  return c.principal?.kind === 'machine' ? c.principal.claims : {}
}

/** One rule and whether it holds, for the decision and for `explain` alike. */
export interface Judged {
  readonly of: 'route' | 'service'
  readonly rule: string
  readonly holds: boolean
}

/** Every rule of the route, then every one of its service, each by itself. Scopes are those of `c.token`. */
export function judgeRules(c: Context, deps: DecideDeps): readonly Judged[] {
  return rulesOf(c, deps).flatMap((r, i) => {
    const { acr, maxAgeS } = strengthOf([r])
    const strength = (rule: string, wanted: Strength): (readonly [string, boolean])[] =>
      wanted.acr === undefined && wanted.maxAgeS === undefined
        ? []
        : [[rule, stepUp(c, deps, wanted) === undefined] as const]
    const judged: (readonly [rule: string, holds: boolean])[] = [
      ...[...conditionsOf(c, deps, r)].map(([rule, holds]) => [rule(), holds] as const),
      ...strength(`acr: one of ${r.acr.join(', ')}`, { acr, maxAgeS: undefined }),
      ...strength(`max_age: ${maxAgeS ?? 0}s`, { acr: undefined, maxAgeS }),
      ...(r.scopes.length === 0 ? [] : [[scopesInWords(r), hasScope(c, deps, r)] as const]),
    ]
    return judged.map(([rule, holds]) => ({ of: i === 0 ? 'route' : 'service', rule, holds }) as const)
  })
}

/** One after the other, and in words only when somebody asks: the decision stops at the first that fails. */
function* conditionsOf(
  c: Context,
  deps: DecideDeps,
  r: Require,
): Iterable<readonly [rule: () => string, holds: boolean]> {
  const claims = claimsOf(c)
  if (r.groups.length > 0) {
    const has = groupsOf(claims, deps.now.settings.identity.groupsClaim)
    yield [() => `groups: one of ${r.groups.join(', ')}`, r.groups.some((g) => has.includes(g))]
  }
  for (const [path, wanted] of Object.entries(r.claims))
    yield [() => `claims: ${path}`, holdsClaim(claims, path, wanted)]
  if (r.networks.length === 0) return
  // A gateway that does not name its client has an address of its own, often the very private one that is let in here.
  if (c.facts.clientIpUnknown) yield [() => 'networks: nobody says who the client is', false]
  else yield [() => `networks: one of ${r.networks.join(', ')}`, inNetworks(r, c.facts.clientIp)]
}

const compiled = new WeakMap<Require, (address: string) => boolean>()

function inNetworks(r: Require, address: string): boolean {
  let inside = compiled.get(r)
  if (inside === undefined) compiled.set(r, (inside = compileNetworks(r.networks)))
  return inside(address)
}

function forbid(c: Context, rule: string): Refuse {
  return { kind: 'refuse', code: 'FORBIDDEN', why: rule, ...about(c) }
}
