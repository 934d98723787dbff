import type { Require, Route } from '../../config/types.ts'
import { groupsOf, holdsClaim } from '../identity/claims.ts'
import type { Claims, Context, DecideDeps, Decision, Refuse } from '../types.ts'
import { compileNetworks } from './peers.ts'

/** `require` of the route and of its service: both must hold (R23). Scopes wait for the token. */
export function authorize(c: Context, deps: DecideDeps): Decision | undefined {
  const rules = rulesOf(c, deps)
  for (const require of rules) {
    const failed = failedRule(c, deps, require)
    if (failed !== undefined) return forbid(c, failed)
  }
  for (const require of rules) {
    const step = stepUp(c, deps, require)
    if (step !== undefined) return step
  }
  return undefined
}

/** After the token is there: any of the listed scopes must be the token's. */
export function authorizeScopes(c: Context, deps: DecideDeps): Decision | undefined {
  const has = c.token?.scopes ?? []
  for (const { scopes } of rulesOf(c, deps)) {
    if (scopes.length > 0 && !scopes.some((s) => has.includes(s)))
      return forbid(c, `scopes: one of ${scopes.join(' ')}`)
  }
  return undefined
}

function rulesOf(c: Context, deps: DecideDeps): Require[] {
  const service = c.route?.service === undefined ? undefined : deps.now.settings.services.get(c.route.service)
  return [c.route?.require, service?.require].filter((r) => r !== undefined)
}

function claimsOf(c: Context): Claims {
  if (c.principal?.kind === 'user') return c.principal.session.state.identity
  return c.principal?.kind === 'machine' ? c.principal.claims : {}
}

function failedRule(c: Context, _deps: DecideDeps, r: Require): string | undefined {
  const claims = claimsOf(c)
  if (r.groups.length > 0) {
    const has = groupsOf(claims)
    if (!r.groups.some((g) => has.includes(g))) return `groups: one of ${r.groups.join(', ')}`
  }
  for (const [path, wanted] of Object.entries(r.claims)) if (!holdsClaim(claims, path, wanted)) return `claims: ${path}`
  if (r.networks.length > 0 && !inNetworks(r, c.facts.clientIp)) return 'networks'
  return undefined
}

const compiled = new WeakMap<Require, (address: string) => boolean>()

function inNetworks(r: Require, address: string): boolean {
  let inside = compiled.get(r)
  if (inside === undefined) compiled.set(r, (inside = compileNetworks(r.networks)))
  return inside(address)
}

/** RFC 9470: the session is good, but not good enough here. A navigation signs in again, a program is told how. */
function stepUp(c: Context, deps: DecideDeps, r: Require): Decision | undefined {
  if (c.principal?.kind !== 'user') return undefined
  const { state } = c.principal.session
  const acrFails = r.acr.length > 0 && (state.acr === undefined || !r.acr.includes(state.acr))
  const tooOld = r.maxAgeS !== undefined && deps.clock.wallMs() - state.authTime > r.maxAgeS * 1000
  if (!acrFails && !tooOld) return undefined
  if (c.facts.wants === 'navigation') {
    return {
      kind: 'login',
      code: 'STEP_UP_REQUIRED',
      ...(acrFails ? { acrValues: r.acr.join(' ') } : {}),
      ...(tooOld ? { maxAgeS: r.maxAgeS } : {}),
    }
  }
  const wanted = [
    ...(acrFails ? [`acr_values="${r.acr.join(' ')}"`] : []),
    ...(tooOld ? [`max_age="${r.maxAgeS}"`] : []),
  ]
  const wwwAuthenticate = `Bearer error="insufficient_user_authentication", error_description="A stronger or fresher sign-in is required", ${wanted.join(', ')}`
  return { kind: 'refuse', code: 'STEP_UP_REQUIRED', wwwAuthenticate, ...about(c) }
}

function forbid(c: Context, rule: string): Refuse {
  return { kind: 'refuse', code: 'FORBIDDEN', why: rule, ...about(c) }
}

function about(c: Context): { route?: Route; principal?: NonNullable<Context['principal']> } {
  return {
    ...(c.route === undefined ? {} : { route: c.route }),
    ...(c.principal === undefined ? {} : { principal: c.principal }),
  }
}
