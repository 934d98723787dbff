import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { test } from 'node:test'
import { loadConfig } from '../../config/load.ts'
import { brief, faults, fixture, inDir, load, loaded, MINIMUM, minimum } from './dir.ts'

const CONTRACT_ENV = {
  BFF_ADMIN_TOKEN: 'an-admin-token',
  BFF_CLIENT_SECRET: 'a-client-secret',
  BFF_SECRET: '0123456789abcdefghijklmnopqrstuv',
  BFF_M2M_SECRET: 'another-client-secret',
}

test('the settings that the contract shows load as they stand, every key of them', () => {
  const s = loaded({ settings: fixture('contract-settings.yaml'), env: CONTRACT_ENV })
  assert.deepEqual(s.server.verifyListen, { host: '127.0.0.1', port: 4443 })
  assert.match(s.server.verifyTls?.clientCa ?? '', /^\/.*tls\/traefik-ca\.pem$/)
  assert.equal(s.clients.get('machine')?.clientId, 'bff-m2m')
  assert.equal(s.services.get('pdp_service')?.strategy, 'token_exchange')
  assert.equal(s.services.get('batch_service')?.client, 'machine')
  assert.deepEqual(s.identity.map, { 'X-Department': 'department.name' })
  assert.equal(s.bearerIssuers.get('partner')?.audience, 'https://api.example.com')
  assert.deepEqual(s.limits.nativeGrant, { count: 10, perMs: 60_000 })
})

test('what is left out has the defaults of the contract', () => {
  const { server, session, tokens, postLogoutRedirect, log, limits, providers } = loaded({})
  assert.deepEqual(server.listen, { host: '127.0.0.1', port: 4181 })
  assert.equal(server.adminListen, undefined)
  assert.equal(server.verifyListen, undefined)
  assert.equal(server.basePath, '/auth')
  assert.deepEqual(server.clientIp, { header: 'X-Forwarded-For', hops: 1 })
  assert.equal(session.store.reveal(), 'sqlite:./data/sessions.db')
  assert.equal(session.cookieName, 'bff_session')
  assert.equal(session.cookieDomain, undefined)
  assert.equal(session.sameSite, 'lax')
  assert.equal(session.keyPrefix, 'bff:')
  assert.equal(session.followIdToken, false)
  assert.deepEqual(
    [session.idleTimeoutMs, session.absoluteTimeoutMs, session.stallTimeoutMs],
    [1_800_000, 43_200_000, 1500],
  )
  assert.deepEqual(tokens, {
    audienceParameter: 'audience',
    warmUp: 'login',
    deadlineMs: 8000,
    invalidGrantGraceMs: 60_000,
  })
  assert.equal(postLogoutRedirect, '/auth/logged-out')
  assert.deepEqual(log, { level: 'info', access: 'errors' })
  assert.deepEqual(limits.login, { count: 600, perMs: 60_000 })
  assert.equal(providers.get('default')?.client.auth.kind, 'client_secret_basic')
  assert.equal(providers.get('default')?.userinfo, 'auto')
})

test('a moved base path takes the page after a logout with it', () => {
  const server = 'server: { public_url: "https://a.example.com", base_path: /bff/auth, trusted_proxies: [127.0.0.1] }\n'
  assert.equal(loaded({ settings: minimum({ server }) }).postLogoutRedirect, '/bff/auth/logged-out')
})

test('the example that is checked in loads with an empty environment, and has nothing to warn of', () => {
  const got = loadConfig(new URL('../../config', import.meta.url).pathname, {})
  assert.equal(got.ok, true)
  assert.deepEqual(brief(got.warnings), [])
})

test('all faults of both files come at once, in order, each with its own line', () => {
  const settings = `server:
  public_url: https://app.example.com
  listen: nowhere
auth:
  issuer: http://idp.example.com
  client_id: bff
session:
  secret: short
  idle_timeout: 30
`
  const routes = `routes:
  - id: a
    path: api
  - id: b
    path: /b
    auth: publick
`
  assert.deepEqual(faults({ settings, routes }), [
    'settings.yaml:3 BAD_LISTEN',
    'settings.yaml:5 ISSUER_INSECURE',
    'settings.yaml:8 SECRET_TOO_SHORT',
    'settings.yaml:9 BAD_DURATION',
    'routes.yaml:3 BAD_PATH',
    'routes.yaml:6 BAD_VALUE',
  ])
})

test('an empty settings.yaml lacks what nobody can guess, and says where it belongs', () => {
  const got = load({ settings: '' })
  const missing = got.ok ? [] : got.faults.map((f) => f.message)
  for (const key of ['server.public_url', 'auth.issuer', 'auth.client_id', 'session.secret'])
    assert.ok(missing.includes(`\`${key}\` is missing`), key)
})

test('a section with all its lines commented out is as good as none', () => {
  assert.deepEqual(
    faults({ settings: `${minimum()}clients:\n  # machine: {}\nservice_tokens:\n`, routes: 'routes:\n' }),
    [],
  )
})

test('a directory without settings.yaml is unreadable, one without routes.yaml is faulty', () => {
  inDir({ routes: 'routes: []' }, (dir) => {
    const got = loadConfig(dir, {})
    assert.equal(!got.ok && got.unreadable, true)
  })
  inDir({ settings: minimum() }, (dir) => {
    const got = loadConfig(dir, {})
    assert.equal(!got.ok && got.unreadable, false)
    assert.deepEqual(got.ok ? [] : got.faults.map((f) => f.code), ['FILE_MISSING'])
  })
})

test('an unknown key is a fault that names the key that was meant', () => {
  const got = load({ settings: minimum({ session: 'session:\n  secrets: "0123456789abcdefghijklmnopqrstuv"\n' }) })
  const fault = got.ok ? undefined : got.faults.find((f) => f.code === 'UNKNOWN_KEY')
  assert.equal(fault?.line, 4)
  assert.equal(fault.mend, 'Did you mean `secret`?')
})

test('R3 no secret shows when the settings are printed or made into JSON', () => {
  const s = loaded({
    settings: fixture('contract-settings.yaml').replace('sqlite:./data/sessions.db', 'redis://:hunter2@r:6379'),
    env: CONTRACT_ENV,
  })
  const all = inspect(s, { depth: 20, showHidden: true }) + JSON.stringify(s) + String(s.session.store)
  for (const text of [...Object.values(CONTRACT_ENV), 'hunter2']) assert.ok(!all.includes(text), 'a secret shows')
})

test('R3 no message repeats a value, wherever a secret was put by mistake', () => {
  const env = { LEAK: 'sup3r$ecret value' }
  const everywhere = `server: { public_url: "\${LEAK}", listen: "\${LEAK}", trusted_proxies: ["\${LEAK}"], base_path: "\${LEAK}" }
auth: { issuer: "\${LEAK}", client_id: x, userinfo: "\${LEAK}", private_key: "\${LEAK}", require: { email_domains: ["\${LEAK}"] } }
session: { secret: "\${LEAK}", store: "\${LEAK}", cookie_name: "\${LEAK}", idle_timeout: "\${LEAK}", same_site: "\${LEAK}" }
limits: { login: "\${LEAK}" }
service_tokens: { a: { strategy: "\${LEAK}", client: "\${LEAK}", token_endpoint: "\${LEAK}", trust_opaque: "\${LEAK}" } }
`
  const routes = 'routes: [{ id: a, path: "${LEAK}", methods: ["${LEAK}"], host: "${LEAK}", bearer: ["${LEAK}"] }]\n'
  const got = load({ settings: everywhere, routes, env })
  assert.equal(got.ok, false)
  assert.ok(!JSON.stringify(got).includes('sup3r'))
})

test('several providers share the behaviour under auth, and none of them the client', () => {
  const auth = `auth:
  oauth_scopes: openid groups
  userinfo: never
  providers:
    staff: { issuer: https://idp.example.com, client_id: a, client_secret: s, display_name: Staff }
    guests: { issuer: https://guests.example.com, client_id: b, oauth_scopes: openid }
`
  const { providers } = loaded({ settings: minimum({ auth }) })
  assert.deepEqual([...providers.keys()], ['staff', 'guests'])
  assert.deepEqual(providers.get('staff')?.oauthScopes, ['openid', 'groups'])
  assert.deepEqual(providers.get('guests')?.oauthScopes, ['openid'])
  assert.equal(providers.get('guests')?.userinfo, 'never')
  assert.equal(providers.get('guests')?.displayName, 'guests.example.com')
  assert.equal(providers.get('guests')?.client.auth.kind, 'none')
})

test('a client authenticates by what it has: secret, key, certificate or nothing', () => {
  const kind = (client: string): unknown => {
    const { auth } =
      loaded({
        settings: minimum({ auth: `auth: { issuer: "https://i.example.com", client_id: x, ${client} }\n` }),
      }).providers.get('default')?.client ?? {}
    return auth?.kind
  }
  assert.equal(kind('client_secret: s'), 'client_secret_basic')
  assert.equal(kind('client_secret: s, token_endpoint_auth_method: client_secret_post'), 'client_secret_post')
  assert.equal(kind('private_key: tls/bff.key, private_key_alg: ES256, private_key_kid: k'), 'private_key_jwt')
  assert.equal(kind('tls_client: { cert: tls/bff.pem, key: tls/bff.key, ca: tls/traefik-ca.pem }'), 'tls_client_auth')
  assert.equal(kind('token_endpoint_auth_method: none'), 'none')
})

test('an extension grant is described by its type, its parameters and who is named by them', () => {
  const auth = MINIMUM.auth.replace(
    ' }\n',
    ', native_grants: { otp: { grant_type: "urn:cocoar:otp", parameters: [email, code], identifier: email } } }\n',
  )
  assert.deepEqual(
    loaded({ settings: minimum({ auth }) })
      .providers.get('default')
      ?.nativeGrants.get('otp'),
    {
      name: 'otp',
      grantType: 'urn:cocoar:otp',
      parameters: ['email', 'code'],
      identifier: 'email',
    },
  )
})

test('a service named like what every object inherits is a service like any other', () => {
  const settings = `${minimum()}service_audiences: { constructor: https://c.example.com }\n`
  const s = loaded({
    settings,
    routes:
      'routes: [{ id: toString, path: /c, target_service: constructor }, { id: v, path: /v, target_service: valueOf }]',
  })
  assert.equal(s.services.get('constructor')?.audience, 'https://c.example.com')
  assert.equal(s.services.get('valueOf')?.audience, undefined)
})
