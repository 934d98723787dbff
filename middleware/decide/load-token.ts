import type { Context, DecideDeps, Decision, Maybe, Refuse, Subject, TokenAnswer } from '../types.ts'

/** The token of the route's service (R9). Without one the answer is 401 NO_TOKEN_AVAILABLE, never a redirect (R10). */
export function loadToken(c: Context, deps: DecideDeps): Maybe<Decision | undefined> {
  const { route, principal } = c
  if (route?.service === undefined || principal === undefined || principal.kind === 'anonymous') return undefined
  const service = route.service
  if (deps.now.settings.services.get(service)?.audience === undefined)
    return none(c, deps, service, 'no audience configured')
  const ask = {
    correlationId: c.facts.correlationId,
    ...(c.facts.again === undefined ? {} : { rejected: c.facts.again.rejected }),
  }
  const subject: Subject =
    principal.kind === 'user'
      ? { kind: 'session', session: principal.session }
      : { kind: 'bearer', token: principal.token, issuer: principal.issuer }
  const answer = deps.broker.token(subject, service, ask)
  if (!(answer instanceof Promise)) return take(c, deps, service, answer)
  return answer.then((a) => {
    c.waited = true
    return take(c, deps, service, a)
  })
}

function take(c: Context, deps: DecideDeps, service: string, answer: TokenAnswer): Decision | undefined {
  switch (answer.kind) {
    case 'token': {
      // By name, once more: a token of another service must not leave through here, whatever the broker did.
      if (answer.token.service !== service && answer.token.service !== '@login')
        return none(c, deps, service, 'token of another service')
      c.token = answer.token
      deps.emit({ name: 'token_found', correlationId: c.facts.correlationId, fields: { service } })
      return undefined
    }
    case 'none':
      return none(c, deps, service, answer.reason)
    case 'ended':
      return c.facts.wants === 'navigation'
        ? { kind: 'login', code: 'SESSION_EXPIRED' }
        : { kind: 'refuse', code: 'SESSION_EXPIRED' }
    case 'down':
      return {
        kind: 'unavailable',
        code: answer.what === 'store' ? 'STORE_UNAVAILABLE' : 'PROVIDER_UNAVAILABLE',
        retryAfterS: answer.retryAfterS,
      }
  }
}

function none(c: Context, deps: DecideDeps, service: string, reason: string): Refuse {
  deps.emit({ name: 'no_token_available', correlationId: c.facts.correlationId, fields: { service, reason } })
  return {
    kind: 'refuse',
    code: 'NO_TOKEN_AVAILABLE',
    service,
    why: reason,
    ...(c.route === undefined ? {} : { route: c.route }),
    ...(c.principal === undefined ? {} : { principal: c.principal }),
  }
}
