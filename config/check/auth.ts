import type { Place } from '../finding.ts'
import { suggest } from '../suggest.ts'
import { checkClient } from './clients.ts'
import type { Check, CheckContext } from './context.ts'
import { DEFAULT_SCOPES, providersOf } from './providers.ts'
import type { PlacedProvider } from './providers.ts'

/** Of the single provider; beside `auth.providers` they would belong to nobody. */
const OWN_KEYS = [
  'issuer',
  'display_name',
  'client_id',
  'client_secret',
  'private_key',
  'private_key_alg',
  'private_key_kid',
  'tls_client',
  'token_endpoint_auth_method',
] as const
/** RFC 6749 §10.16 and §4: what a grant must not be able to set for itself. */
const OWN_PARAMETERS = new Set([
  'grant_type',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'scope',
])

export const checkAuth: Check = (c) => {
  checkOneOrSeveral(c)
  const issuers = new Set<string>()
  for (const p of providersOf(c.settings)) {
    checkClient(c, p.at, p.provider)
    if (!(p.provider.oauth_scopes ?? DEFAULT_SCOPES).includes('openid'))
      c.report.fault([...p.at, 'oauth_scopes'], {
        code: 'SCOPE_OPENID',
        message: 'without `openid` among the scopes the provider sends no id token',
        mend: 'Add openid to oauth_scopes.',
      })
    const issuer = p.provider.issuer?.href
    if (issuer !== undefined && issuers.has(issuer))
      c.report.fault([...p.at, 'issuer'], {
        code: 'ISSUER_TWICE',
        message: 'another provider has this issuer',
        mend: 'A user is known by issuer and sub: name each issuer once.',
      })
    if (issuer !== undefined) issuers.add(issuer)
    checkGrants(c, p)
    checkReserved(c, p)
  }
  checkSecondClients(c)
}

function checkOneOrSeveral(c: CheckContext): void {
  const { auth } = c.settings
  if (auth.providers === undefined) {
    for (const key of ['issuer', 'client_id'] as const)
      if (auth[key] === undefined)
        c.report.fault(['settings', 'auth', key], {
          code: 'MISSING_KEY',
          message: `\`auth.${key}\` is missing`,
          mend:
            key === 'issuer' ? 'The provider’s own issuer: https://idp.example.com' : 'As registered at the provider.',
        })
    return
  }
  if (Object.keys(auth.providers).length === 0)
    c.report.fault(['settings', 'auth', 'providers'], {
      code: 'EMPTY_VALUE',
      message: '`auth.providers` is empty',
      mend: 'Name one, or remove the key.',
    })
  for (const key of OWN_KEYS)
    if (auth[key] !== undefined)
      c.report.fault(['settings', 'auth', key], {
        code: 'PROVIDER_TWICE',
        message: `\`auth.${key}\` stands beside \`auth.providers\``,
        mend: 'Move it into one of the providers.',
      })
}

/** R17: an extension grant is named by an absolute URI; `password` and the standard grants are not for this door. */
function checkGrants(c: CheckContext, { at, provider }: PlacedProvider): void {
  for (const [name, grant] of Object.entries(provider.native_grants ?? {})) {
    const here: Place = [...at, 'native_grants', name]
    if (grant.grant_type !== undefined && !/^[a-z][a-z0-9+.-]*:\S+$/i.test(grant.grant_type))
      c.report.fault([...here, 'grant_type'], {
        code: 'GRANT_TYPE',
        message: 'an extension grant is an absolute URI',
        mend: 'Write it whole: urn:cocoar:otp. Standard grants and `password` are not taken here.',
      })
    const own = grant.parameters?.find((p) => OWN_PARAMETERS.has(p))
    if (own !== undefined)
      c.report.fault([...here, 'parameters'], {
        code: 'GRANT_PARAMETER',
        message: `\`${own}\` is set by this service, never by the browser`,
        mend: 'Remove it from parameters.',
      })
    if (grant.identifier !== undefined && grant.parameters?.includes(grant.identifier) === false)
      c.report.fault([...here, 'identifier'], {
        code: 'GRANT_IDENTIFIER',
        message: '`identifier` is none of `parameters`',
        mend: 'Name one of the parameters.',
      })
  }
}

/** What makes a login ours: one who could set these in the config by mistake would break it silently. */
function checkReserved(c: CheckContext, { at, provider }: PlacedProvider): void {
  for (const key of [
    'client_id',
    'redirect_uri',
    'response_type',
    'response_mode',
    'state',
    'nonce',
    'code_challenge',
    'code_challenge_method',
    'scope',
    'request',
    'request_uri',
    'client_secret',
  ])
    if (provider.extra_params !== undefined && Object.hasOwn(provider.extra_params, key))
      c.report.fault([...at, 'extra_params', key], {
        code: 'RESERVED_PARAMETER',
        message: `\`${key}\` is set by this service`,
        mend: key === 'scope' ? 'Use oauth_scopes.' : 'Remove it.',
      })
}

/** R16: a login client and a separate client for machines; never one for both. */
function checkSecondClients(c: CheckContext): void {
  const providers = providersOf(c.settings)
  const login = new Set(providers.map((p) => p.provider.client_id))
  for (const [name, client] of Object.entries(c.settings.clients)) {
    const at: Place = ['settings', 'clients', name]
    checkClient(c, at, client)
    if (client.provider !== undefined && !providers.some((p) => p.name === client.provider)) {
      const near = suggest(
        client.provider,
        providers.map((p) => p.name),
      )
      c.report.fault([...at, 'provider'], {
        code: 'UNKNOWN_PROVIDER',
        message: 'this is no name in `auth.providers`',
        mend: near === undefined ? 'Name one of them, or leave it out: the first.' : `Did you mean \`${near}\`?`,
      })
    }
    if (client.client_id !== undefined && login.has(client.client_id))
      c.report.fault([...at, 'client_id'], {
        code: 'LOGIN_CLIENT_REUSED',
        message: `client \`${name}\` is the login client: one client never holds both kinds of grant (two-client rule)`,
        mend: 'Register a second client at the provider for machine-to-machine calls.',
      })
  }
}
