import { livesUntil } from '../login/current-session.ts'
import type { Allow, Context, DecideDeps, Decision, EpochMs } from '../types.ts'

/** The yes: identity headers for this service, and its token. Pure. */
export function buildHeaders(c: Context, deps: DecideDeps): Decision | undefined {
  const { route, principal, token, facts } = c
  if (route === undefined || principal === undefined) return undefined
  const set = [...deps.identityHeaders(principal, route.service, facts.correlationId)]
  if (token !== undefined) set.push(['Authorization', `Bearer ${token.value.reveal()}`])
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

/** A stream opened now ends when the session would, at the latest. */
function openUntil(principal: Allow['principal'], maxAgeMs: number | undefined, deps: DecideDeps): EpochMs | undefined {
  const ends: number[] = []
  if (principal.kind === 'user') ends.push(livesUntil(principal.session, deps.now.settings.session))
  if (principal.kind === 'machine') ends.push(principal.expiresAt)
  if (maxAgeMs !== undefined) ends.push(deps.clock.wallMs() + maxAgeMs)
  return ends.length === 0 ? undefined : (Math.min(...ends) as EpochMs)
}
