import type { ServiceSettings } from '../../config/types.ts'
import type { TokenParams } from '../provider/types.ts'
import type { Secret } from '../types.ts'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

/** What a grant is asked with. `scope` undefined: not sent. */
export interface Ask {
  readonly service: ServiceSettings
  readonly scope: readonly string[] | undefined
}

/** Configured scopes that login granted; all of them where none is known to be granted, so that the provider decides. */
export function scopesToAsk(service: ServiceSettings, granted: readonly string[]): readonly string[] | undefined {
  if (service.scopes.length === 0) return undefined
  const both = service.scopes.filter((s) => granted.includes(s))
  return both.length === 0 ? service.scopes : both
}

/** RFC 6749 §6 with RFC 8707 §2.2 or the older `audience`. */
export function refreshParams(a: Ask, refreshToken: Secret): TokenParams {
  return {
    ...extras(a),
    ...audienceParams(a.service),
    grant_type: 'refresh_token',
    refresh_token: refreshToken.reveal(),
  }
}

/** A refresh that names no service: the login's own access token anew. */
export function plainRefreshParams(refreshToken: Secret): TokenParams {
  return { grant_type: 'refresh_token', refresh_token: refreshToken.reveal() }
}

/**
 * RFC 8693 §2.1. By the login client `openid` goes with any scope: at Keycloak an exchange without it takes `openid`
 * from the login session, and later refreshes bring no id token.
 */
export function exchangeParams(a: Ask, subjectToken: Secret, byLoginClient: boolean): TokenParams {
  const scope = a.scope !== undefined && byLoginClient && !a.scope.includes('openid') ? ['openid', ...a.scope] : a.scope
  return {
    ...extras({ ...a, scope }),
    ...audienceParams(a.service),
    ...(a.service.requestedTokenType === undefined ? {} : { requested_token_type: a.service.requestedTokenType }),
    grant_type: TOKEN_EXCHANGE,
    subject_token: subjectToken.reveal(),
    subject_token_type: a.service.subjectTokenType ?? ACCESS_TOKEN,
  }
}

/** RFC 7523 §2.1, with Entra ID's on-behalf-of unless `extra_params` says otherwise. */
export function jwtBearerParams(a: Ask, assertion: Secret): TokenParams {
  return {
    requested_token_use: 'on_behalf_of',
    ...extras(a),
    ...audienceParams(a.service),
    grant_type: JWT_BEARER,
    assertion: assertion.reveal(),
  }
}

/** RFC 6749 §4.4. */
export function clientCredentialsParams(a: Ask): TokenParams {
  return { ...extras(a), ...audienceParams(a.service), grant_type: 'client_credentials' }
}

function extras(a: Ask): Record<string, string> {
  return { ...a.service.extraParams, ...(a.scope === undefined ? {} : { scope: a.scope.join(' ') }) }
}

function audienceParams(s: ServiceSettings): Record<string, readonly string[]> {
  const own = s.audience === undefined ? [] : [s.audience]
  const audience = [...new Set([...own, ...s.audiences])]
  const resource = [...new Set([...own, ...s.resources])]
  switch (s.audienceParameter) {
    case 'audience':
      return { audience, ...(s.resources.length === 0 ? {} : { resource: s.resources }) }
    case 'resource':
      return { resource, ...(s.audiences.length === 0 ? {} : { audience: s.audiences }) }
    case 'both':
      return { audience, resource }
    case 'none':
      return {
        ...(s.audiences.length === 0 ? {} : { audience: s.audiences }),
        ...(s.resources.length === 0 ? {} : { resource: s.resources }),
      }
  }
}
