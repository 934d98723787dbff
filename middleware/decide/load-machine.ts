import { secret } from '../../config/secret.ts'
import type { BearerVerdict, Context, DecideDeps, Decision, Maybe, Refuse } from '../types.ts'

/** RFC 6750 §3.1. Why is for the operator alone. */
const INVALID_TOKEN = 'Bearer error="invalid_token", error_description="The access token is not good here"'

/**
 * The token that a machine caller brought, where the route takes such; undefined where there is none. The scheme's case
 * does not count (RFC 9110 §11.1); another scheme is not ours to read.
 */
export function bearerOf(c: Context): string | undefined {
  if (c.route === undefined || c.route.bearer.length === 0) return undefined
  return /^bearer(?:\s+(.*))?$/i.exec(c.facts.authorization?.trim() ?? '')?.map((t: string | undefined) => t ?? '')[1]
}

/** Who the machine is. A token that is not good is a no: it never falls back to the cookie beside it. */
export function loadMachine(c: Context, deps: DecideDeps, bearer: string): Maybe<Decision | undefined> {
  // RFC 6750 §2.1 `b64token`: what may also stand in a header of ours.
  if (!/^[A-Za-z0-9\-._~+/]+=*$/.test(bearer)) return badBearer(c, deps, 'not a token')
  const token = secret(bearer)
  const take = (v: BearerVerdict): Decision | undefined => {
    if (v.kind === 'down') return { kind: 'unavailable', code: 'PROVIDER_UNAVAILABLE', retryAfterS: v.retryAfterS }
    if (v.kind === 'rejected') return badBearer(c, deps, v.reason)
    c.principal = { ...v, token }
    return undefined
  }
  const verdict = deps.bearers.verify(token, c.route?.bearer ?? [])
  return verdict instanceof Promise ? verdict.then(take) : take(verdict)
}

function badBearer(c: Context, deps: DecideDeps, reason: string): Refuse {
  const { correlationId, clientIp } = c.facts
  deps.emit({ name: 'bearer_rejected', correlationId, fields: { route: c.route?.id, reason, client_ip: clientIp } })
  const route = c.route === undefined ? {} : { route: c.route }
  return { kind: 'refuse', code: 'NO_SESSION', why: reason, wwwAuthenticate: INVALID_TOKEN, ...route }
}
