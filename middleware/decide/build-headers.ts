import { livesUntil } from '../login/current-session.ts'
import type { Allow, Context, DecideDeps, Decision, EpochMs, ServiceToken } from '../types.ts'

/** The yes: identity headers for this service, and its token. Pure. */
export function buildHeaders(c: Context, deps: DecideDeps): Decision | undefined {
  const { route, principal, token, facts } = c
  if (route === undefined || principal === undefined) return undefined
  const identity = deps.identityHeaders(principal, route.service, facts.correlationId)
  const set: Allow['set'] = token === undefined ? identity : identity.concat([authorization(token)])
  const allow: Allow = {
    kind: 'allow',
    principal,
    route,
    set,
    token,
    openUntil: openUntil(principal, route.websocketMaxAgeMs, deps),
  }
  return allow
}

const made = new WeakMap<ServiceToken['value'], Allow['set'][number]>()

/** The same pair for as long as the token is kept, so that it is put together and looked at once. */
function authorization({ value }: ServiceToken): Allow['set'][number] {
  const before = made.get(value)
  if (before !== undefined) return before
  const pair = ['Authorization', `Bearer ${value.reveal()}`] as const
  made.set(value, pair)
  return pair
}

/** A stream opened now ends when the session would, at the latest. */
function openUntil(principal: Allow['principal'], maxAgeMs: number | undefined, deps: DecideDeps): EpochMs | undefined {
  const { clock, now } = deps
  let ends = maxAgeMs === undefined ? Infinity : clock.wallMs() + maxAgeMs
  if (principal.kind === 'user') ends = Math.min(ends, livesUntil(principal.session, now.settings.session))
  if (principal.kind === 'machine') ends = Math.min(ends, principal.expiresAt)
  return ends === Infinity ? undefined : (ends as EpochMs)
}
