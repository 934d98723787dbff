import type { Require } from '../../config/types.ts'
import { providerParam } from '../login/addresses.ts'
import type { Claims, Context, DecideDeps, Decision, Refuse } from '../types.ts'

/** What route and service together want of a sign-in. */
export interface Strength {
  /** Any of these; undefined where none is wanted. */
  readonly acr: readonly string[] | undefined
  readonly maxAgeS: number | undefined
}

/** Both hold: what is in every `acr` list, and the shortest `max_age`. Lists with nothing in common are a config fault. */
export function strengthOf(rules: readonly Require[]): Strength {
  let acr: readonly string[] | undefined
  let maxAgeS: number | undefined
  for (const r of rules) {
    if (r.acr.length > 0) acr = acr === undefined ? r.acr : acr.filter((a) => r.acr.includes(a))
    if (r.maxAgeS !== undefined) maxAgeS = Math.min(maxAgeS ?? Infinity, r.maxAgeS)
  }
  return { acr, maxAgeS }
}

/**
 * RFC 9470: the session is good, but not good enough here. A navigation signs in again, a program is told how. Everything
 * is asked for at once: what is asked for alone could come back without the other. A machine cannot sign in again.
 */
export function stepUp(c: Context, deps: DecideDeps, wanted: Strength): Decision | undefined {
  const { principal, facts } = c
  const now = deps.clock.wallMs()
  if (principal?.kind === 'machine') return meetsAsMachine(principal.claims, wanted, now) ? undefined : tooWeak(c)
  if (principal?.kind !== 'user') return undefined
  const { state, record } = principal.session
  if (meets(wanted, state.acr, state.signedInAt, now)) return undefined
  // Nothing that the user could bring.
  if (wanted.acr?.length === 0) return tooWeak(c)
  if (facts.wants === 'navigation') {
    return {
      kind: 'login',
      code: 'STEP_UP_REQUIRED',
      ...providerParam(deps.now, record.provider),
      ...(wanted.acr === undefined ? {} : { acrValues: wanted.acr.join(' ') }),
      ...(wanted.maxAgeS === undefined ? {} : { maxAgeS: wanted.maxAgeS }),
    }
  }
  return { kind: 'refuse', code: 'STEP_UP_REQUIRED', wwwAuthenticate: challenge(wanted), ...about(c) }
}

function meets(wanted: Strength, acr: string | undefined, at: number | undefined, now: number): boolean {
  if (wanted.acr !== undefined && (acr === undefined || !wanted.acr.includes(acr))) return false
  return wanted.maxAgeS === undefined || (at !== undefined && now - at <= wanted.maxAgeS * 1000)
}

/** RFC 9470 §5: the claims of a JWT access token. */
function meetsAsMachine(claims: Claims, wanted: Strength, now: number): boolean {
  const { acr, auth_time: at } = claims
  return meets(
    wanted,
    typeof acr === 'string' ? acr : undefined,
    typeof at === 'number' ? Math.min(now, at * 1000) : undefined,
    now,
  )
}

/** RFC 9470 §3. */
function challenge(wanted: Strength): string {
  const parts = [
    'error="insufficient_user_authentication"',
    'error_description="A stronger or fresher sign-in is required"',
    ...(wanted.acr === undefined ? [] : [`acr_values="${wanted.acr.join(' ')}"`]),
    ...(wanted.maxAgeS === undefined ? [] : [`max_age="${wanted.maxAgeS}"`]),
  ]
  return `Bearer ${parts.join(', ')}`
}

function tooWeak(c: Context): Refuse {
  return { kind: 'refuse', code: 'FORBIDDEN', why: 'sign-in strength: acr or max_age', ...about(c) }
}

/** Of whom a refusal tells: the log and the page name the route and the one who asked. */
export function about(c: Context): Pick<Refuse, 'route' | 'principal'> {
  return {
    ...(c.route === undefined ? {} : { route: c.route }),
    ...(c.principal === undefined ? {} : { principal: c.principal }),
  }
}
