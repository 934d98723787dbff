import { z } from './zod.ts'
import { parseEndpoint } from '../values/url.ts'
import { parseClaimPath } from '../values/claim-path.ts'
import { parseHeaderName } from '../values/words.ts'
import {
  about,
  claims,
  duration,
  flag,
  freely,
  list,
  named,
  parameters,
  parsed,
  section,
  text,
  texts,
  words,
} from './parts.ts'
import { parseCidr } from '../values/net.ts'

/** `require:` of a route or a service. Every key that is there must hold. */
export const require = section({
  groups: texts().optional().meta(about('Any of these.')),
  claims: claims()
    .optional()
    .meta(about('Dotted path into the claims: the wanted value, or a list of which one must hold.')),
  scopes: words().optional().meta(about('Any of these: the service token’s, or the bearer’s.')),
  acr: texts().optional().meta(about('Any of these; else the user is sent to step up.')),
  max_age: duration('1s', '365d')
    .optional()
    .meta(about('The last login is no older; else the user is sent to step up.')),
  networks: list(parsed(parseCidr)).optional().meta(about('CIDR blocks, against the client’s address.')),
})

const audience = () => z.string().regex(/^\S+$/)

const service = section({
  audience: audience().optional().meta(about('The `aud` that this service’s token must have, byte for byte.')),
  scopes: words().optional().meta(about('Alternatives: asked are those that login granted, one must come back.')),
  strategy: z
    .enum(['login_token', 'refresh', 'token_exchange', 'jwt_bearer', 'client_credentials'])
    .optional()
    .meta(
      about('Left out: `refresh` where the provider gave a refresh token, else `login_token` where its `aud` fits.'),
    ),
  audience_parameter: z
    .enum(['audience', 'resource', 'both', 'none'])
    .optional()
    .meta(about('As in `tokens`, for this service alone.')),
  client: text().optional().meta(about('Name in `clients`, where another than the login client asks.')),
  token_endpoint: parsed(parseEndpoint).optional().meta(about('Another than the provider’s own (Okta).')),
  extra_params: parameters().prefault({}).meta(about('More parameters of the token request.')),
  trust_opaque: flag()
    .prefault(false)
    .meta(about('Take a token that can neither be decoded nor introspected as it comes.')),
  allow_other_audiences: flag()
    .prefault(false)
    .meta(about('Take a token whose `aud` lists others beside ours. `check` reports it.')),
  subject_token_type: text()
    .optional()
    .meta(about('RFC 8693. Default: `urn:ietf:params:oauth:token-type:access_token`.')),
  requested_token_type: text().optional().meta(about('RFC 8693.')),
  resources: list(text()).prefault([]).meta(about('More RFC 8707 resources than `audience` itself.')),
  audiences: list(audience()).prefault([]).meta(about('More RFC 8693 audiences than `audience` itself.')),
  identity_headers: list(parsed(parseHeaderName))
    .optional()
    .meta(about('Only these identity headers go to this service. Left out: all of the preset.')),
  require: require.optional().meta(about('Asked beside the route’s own; both must hold.')),
})

export const serviceAudiences = named(audience())
export const serviceScopes = named(words())
export const serviceTokens = named(service)

const assertion = section({
  enabled: flag().prefault(false).meta(about('Send `X-Identity-Assertion`, signed; its key is at `/auth/jwks`.')),
  ttl: duration('1s', '1h').prefault('60s').meta(about('How long one is valid.')),
  claims: list(parsed(parseClaimPath))
    .prefault(['email', 'name', 'preferred_username', 'groups'])
    .meta(
      about('What it says of the user beside `sub`: dotted paths into the claims. `groups` follows `groups_claim`.'),
    ),
})

/** `identity_headers:` */
export const identityHeaders = section({
  preset: z.enum(['bff', 'oauth2-proxy', 'authelia', 'traefik-hub']).prefault('bff').meta(about('Whose header names.')),
  map: freely(text())
    .prefault({})
    .meta(
      about(
        'More headers: name to a dotted path into the claims; lists are joined like groups, `\\.` is a dot in a name.',
      ),
    ),
  user: z
    .enum(['sub', 'preferred_username'])
    .optional()
    .meta(about('Which claim names the user. Default: `sub`; `preferred_username` with the preset `authelia`.')),
  groups_claim: parsed(parseClaimPath)
    .prefault('groups')
    .meta(
      about(
        'Where the groups stand, for headers and `require.groups`: `realm_access.roles`, `cognito:groups`, `roles`.',
      ),
    ),
  assertion: assertion.prefault({}).meta(about('The signed identity assertion.')),
})
