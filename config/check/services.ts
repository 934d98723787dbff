import type { Place } from '../finding.ts'
import type { DraftService } from '../schema/schema.ts'
import { suggest } from '../suggest.ts'
import { methodOf } from './clients.ts'
import type { Check, CheckContext } from './context.ts'
import { DEFAULT_SCOPES, providersOf } from './providers.ts'

export const checkServices: Check = (c) => {
  checkMerges(c)
  for (const [name, service] of Object.entries(c.settings.service_tokens)) {
    const at: Place = ['settings', 'service_tokens', name]
    checkStrategy(c, at, name, service)
    checkResource(c, at, service.audience_parameter, [service.audience, ...service.resources])
    if (service.allow_other_audiences)
      c.report.warn([...at, 'allow_other_audiences'], {
        code: 'OTHER_AUDIENCES',
        message: `\`${name}\` takes a token that is good elsewhere too: that service could use it at the others`,
        mend: 'Have the provider issue one token for each audience.',
      })
    if (service.trust_opaque)
      c.report.warn([...at, 'trust_opaque'], {
        code: 'OPAQUE_TRUSTED',
        message: `\`${name}\` takes a token whose audience nobody has checked`,
      })
    if (service.require !== undefined && own(c.routes.services, name)?.require !== undefined)
      c.report.fault([...at, 'require'], {
        code: 'REQUIRE_TWICE',
        message: `\`require\` of \`${name}\` stands in routes.yaml too`,
        mend: 'Keep one of the two.',
      })
  }
  for (const [name, audience] of Object.entries(c.settings.service_audiences))
    checkResource(
      c,
      ['settings', 'service_audiences', name],
      own(c.settings.service_tokens, name)?.audience_parameter,
      [audience],
    )
  checkScopes(c)
}

/** The value of one name, and never what every object inherits (`constructor`). */
export function own<T>(map: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(map, name) ? map[name] : undefined
}

/** The short forms (S3) and the long form (S4) say the same, or nothing. */
function checkMerges(c: CheckContext): void {
  const { service_tokens: long, service_audiences: audiences, service_scopes: scopes } = c.settings
  for (const [name, audience] of Object.entries(audiences)) {
    const other = own(long, name)?.audience
    if (other === undefined || other === audience) continue
    c.report.fault(['settings', 'service_tokens', name, 'audience'], {
      code: 'AUDIENCE_TWICE',
      message: `\`${name}\` has another audience in \`service_audiences\``,
      mend: 'A service has one audience: keep one of the two.',
    })
  }
  for (const [name, list] of Object.entries(scopes)) {
    const other = own(long, name)?.scopes
    if (other === undefined || [...other].sort().join(' ') === [...list].sort().join(' ')) continue
    c.report.fault(['settings', 'service_tokens', name, 'scopes'], {
      code: 'SCOPES_TWICE',
      message: `\`${name}\` has other scopes in \`service_scopes\``,
      mend: 'Keep one of the two.',
    })
  }
}

function checkStrategy(c: CheckContext, at: Place, name: string, s: DraftService): void {
  const client = s.client === undefined ? undefined : own(c.settings.clients, s.client)
  if (s.client !== undefined && client === undefined) {
    const near = suggest(s.client, Object.keys(c.settings.clients))
    c.report.fault([...at, 'client'], {
      code: 'UNKNOWN_CLIENT',
      message: `\`${name}\` names a client that is not in \`clients\``,
      mend: near === undefined ? 'Add it to clients.' : `Did you mean \`${near}\`?`,
    })
  }
  if (s.strategy === 'client_credentials' && s.client === undefined)
    c.report.fault([...at, 'strategy'], {
      code: 'CLIENT_MISSING',
      message: `\`${name}\` uses client_credentials and names no \`client\`: the login client never holds that grant`,
      mend: 'Add a second client to clients and name it here.',
    })
  // RFC 6749 §4.4: confidential clients alone.
  if (s.strategy === 'client_credentials' && client !== undefined && methodOf(client) === 'none')
    c.report.fault([...at, 'client'], {
      code: 'CLIENT_PUBLIC',
      message: 'client_credentials wants a client with a credential',
      mend: 'Give it a client_secret, a private_key or a tls_client.',
    })
  if (s.client !== undefined && (s.strategy === 'login_token' || s.strategy === 'refresh' || s.strategy === undefined))
    c.report.fault([...at, 'client'], {
      code: 'CLIENT_UNUSABLE',
      message: `\`${name}\`: a refresh token, and the login’s own token, belong to the login client`,
      mend: 'Set strategy to token_exchange, jwt_bearer or client_credentials, or remove client.',
    })
}

/** RFC 8707 §2: an absolute URI without a fragment. */
function checkResource(
  c: CheckContext,
  at: Place,
  own: string | undefined,
  values: readonly (string | undefined)[],
): void {
  const parameter = own ?? c.settings.tokens.audience_parameter
  if (parameter !== 'resource' && parameter !== 'both') return
  for (const value of values)
    if (value !== undefined && (!URL.canParse(value) || value.includes('#')))
      c.report.warn(at, {
        code: 'NOT_A_RESOURCE',
        message: 'a resource indicator is an absolute URI (RFC 8707), and this audience is none',
        mend: 'Set audience_parameter: audience, or use a URI.',
      })
}

/** A scope that login never asks for is one that no refresh can bring. */
function checkScopes(c: CheckContext): void {
  const asked = new Set(providersOf(c.settings).flatMap((p) => p.provider.oauth_scopes ?? DEFAULT_SCOPES))
  const names = new Set([...Object.keys(c.settings.service_tokens), ...Object.keys(c.settings.service_scopes)])
  for (const name of names) {
    const long = own(c.settings.service_tokens, name)
    const short = own(c.settings.service_scopes, name)
    const scopes = long?.scopes ?? short ?? []
    const byLogin = long?.strategy === undefined || long.strategy === 'refresh' || long.strategy === 'login_token'
    if (!byLogin || scopes.length === 0 || scopes.some((s) => asked.has(s))) continue
    const at: Place =
      long?.scopes === undefined ? ['settings', 'service_scopes', name] : ['settings', 'service_tokens', name, 'scopes']
    c.report.warn(at, {
      code: 'SCOPE_NOT_ASKED',
      message: `no scope of \`${name}\` is among \`auth.oauth_scopes\`: login will not grant one`,
      mend: 'Add one of them to auth.oauth_scopes.',
    })
  }
}
