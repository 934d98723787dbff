import type { Require } from '../../config/types.ts'
import { readScopes } from '../broker/audience.ts'
import { groupsOf, holdsClaim } from '../identity/claims.ts'
import type { Claims, Context, DecideDeps, Decision, Refuse } from '../types.ts'
import { compileNetworks } from './peers.ts'
import { about, stepUp, strengthOf } from './step-up.ts'

/** `require` of the route and of its service: both must hold (R23). Scopes wait for the token. */
export function authorize(c: Context, deps: DecideDeps): Decision | undefined {
  const rules = rulesOf(c, deps)
  for (const require of rules) {
    const failed = failedRule(c, require)
    if (failed !== undefined) return forbid(c, failed)
  }
  return stepUp(c, deps, strengthOf(rules))
}

/** After the token is there: any of the listed scopes must be the token's, or the machine caller's own. */
export function authorizeScopes(c: Context, deps: DecideDeps): Decision | undefined {
  const has = scopesOf(c, deps)
  for (const { scopes } of rulesOf(c, deps)) {
    if (scopes.length > 0 && !scopes.some((s) => has.includes(s)))
      return forbid(c, `scopes: one of ${scopes.join(' ')}`)
  }
  return undefined
}

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

function failedRule(c: Context, r: Require): string | undefined {
  const claims = claimsOf(c)
  if (r.groups.length > 0) {
    const has = groupsOf(claims)
    if (!r.groups.some((g) => has.includes(g))) return `groups: one of ${r.groups.join(', ')}`
  }
  for (const [path, wanted] of Object.entries(r.claims)) if (!holdsClaim(claims, path, wanted)) return `claims: ${path}`
  if (r.networks.length > 0) {
    // A gateway that does not name its client has an address of its own, often the very private one that is let in here.
    if (c.facts.clientIpUnknown) return 'networks: the gateway does not say who its client is'
    if (!inNetworks(r, c.facts.clientIp)) return 'networks'
  }
  return undefined
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
