import { z } from './zod.ts'
import { parseIssuer, parseReturn } from '../values/url.ts'
import { parseMailDomain } from '../values/words.ts'
import {
  about,
  claims,
  flag,
  list,
  named,
  parameters,
  parsed,
  secretText,
  section,
  text,
  texts,
  words,
} from './parts.ts'

const tlsClient = section({
  cert: text()
    .optional()
    .meta(about('PEM file, relative to the config directory.', { required: true })),
  key: text()
    .optional()
    .meta(about('PEM file of its private key.', { required: true })),
  ca: text().optional().meta(about('PEM file of the provider’s CA, where it is not a public one.')),
})

/** Who we are at a token endpoint: the login client, and each of `clients:`. */
export const client = {
  client_id: text()
    .optional()
    .meta(about('As registered at the provider.', { required: true })),
  client_secret: secretText()
    .optional()
    .meta(about('Left out, with no key and no certificate either: a public client.')),
  private_key: secretText()
    .optional()
    .meta(
      about('`private_key_jwt` (OpenID Connect Core §9): a PEM text, or its file relative to the config directory.'),
    ),
  private_key_alg: z
    .string()
    .regex(/^(?:(?:RS|PS|ES)(?:256|384|512)|EdDSA|Ed25519)$/)
    .optional()
    .meta(about('JWS algorithm of `private_key`, where the key alone does not decide it.')),
  private_key_kid: text().optional().meta(about('`kid` in the header of the signed assertion.')),
  tls_client: tlsClient.optional().meta(about('`tls_client_auth` (RFC 8705): a certificate instead of a secret.')),
  token_endpoint_auth_method: z
    .enum(['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth', 'none'])
    .optional()
    .meta(
      about(
        'Follows from the credential; `client_secret` means `client_secret_basic`, unless this says `client_secret_post`.',
      ),
    ),
}

const signInRequire = section({
  email_domains: list(parsed(parseMailDomain))
    .prefault([])
    .meta(about('The verified address’s domain is one of these.')),
  groups: texts().prefault([]).meta(about('Any of these.')),
  claims: claims()
    .prefault({})
    .meta(about('Dotted path into the claims: the wanted value, or a list of which one must hold.')),
})

const nativeGrant = section({
  grant_type: text()
    .optional()
    .meta(about('An absolute URI (RFC 6749 §4.5), such as `urn:cocoar:otp`.', { required: true })),
  parameters: list(text())
    .optional()
    .meta(about('Names of the parameters that are passed on; no others are.', { required: true })),
  identifier: text().optional().meta(about('The parameter that names the user: attempts are limited for each.')),
})

/** What a provider has beside its client; the same keys under `auth` hold for all of `auth.providers`. */
const behaviour = {
  oauth_scopes: words()
    .optional()
    .meta(about('Asked for at login: a text or a list. Default: `openid profile email`.')),
  extra_params: parameters().optional().meta(about('To the authorization endpoint; `prompt`, `acr_values` too.')),
  userinfo: z
    .enum(['auto', 'always', 'never'])
    .optional()
    .meta(about('`auto` (the default): asked when the id token lacks a mapped claim.')),
  require: signInRequire
    .optional()
    .meta(about('Who may sign in at all; asked again after each refresh that brings claims.')),
  logout_hint: z
    .enum(['none', 'id_token'])
    .optional()
    .meta(
      about(
        '`id_token`: the logout address carries `id_token_hint`, the one exception to “no token in the browser”. Default: `none`.',
      ),
    ),
  native_grants: named(nativeGrant)
    .optional()
    .meta(about('Sign-in by an extension grant at `/auth/login/grant/<name>`.')),
}

const identity = {
  issuer: parsed(parseIssuer).optional().meta(about('Byte for byte the provider’s own. https; http on loopback only.')),
  display_name: text().optional().meta(about('On the page that lets people choose. Default: the issuer’s host.')),
}

/** `auth:` one provider, or several under `providers`. */
export const auth = section({
  ...identity,
  ...client,
  client_id: text()
    .optional()
    .meta(about('As registered at the provider. With `issuer`, required unless `providers` is used.')),
  ...behaviour,
  post_logout_redirect: parsed(parseReturn)
    .optional()
    .meta(about('Where a logout ends: a path or an address. Default: `<base_path>/logged-out`.')),
  frontchannel_logout: flag()
    .prefault(false)
    .meta(about('Answer `GET /auth/frontchannel-logout`. Needs third-party cookies, which most browsers refuse.')),
  providers: named(
    section({
      ...identity,
      issuer: parsed(parseIssuer)
        .optional()
        .meta(about('Byte for byte the provider’s own.', { required: true })),
      ...client,
      ...behaviour,
    }),
  )
    .optional()
    .meta(about('Several providers by name; the first is the default. Each has an issuer and a client of its own.')),
})

/** `clients:` */
export const clients = named(
  section({
    ...client,
    provider: text()
      .optional()
      .meta(about('Name in `auth.providers`: where this client is registered. Default: the first.')),
  }),
)

/** `bearer_issuers:` */
export const bearerIssuers = named(
  section({
    issuer: parsed(parseIssuer)
      .optional()
      .meta(about('Whose tokens; its keys are found by discovery.', { required: true })),
    audience: text()
      .optional()
      .meta(about('What their `aud` must hold.', { required: true })),
  }),
)
