import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faults, minimum, warnings } from './dir.ts'
import type { Files, MINIMUM } from './dir.ts'

type Row = readonly [what: string, files: Files, found: readonly string[]]

const settings = (o: Partial<typeof MINIMUM>, more = ''): Files => ({ settings: minimum(o) + more })
const server = (text: string): Files => settings({ server: `server: { ${text} }\n` })
const session = (text: string, o: Partial<typeof MINIMUM> = {}): Files =>
  settings({ ...o, session: `session: { secret: "0123456789abcdefghijklmnopqrstuv", ${text} }\n` })
const auth = (text: string): Files => settings({ auth: `auth: { ${text} }\n` })
const routes = (text: string, more = ''): Files => ({ settings: minimum() + more, routes: text })
const route = (text: string, more = ''): Files => routes(`routes: [{ id: a, ${text} }]\n`, more)
const LOCAL = 'server: { public_url: "http://localhost:8000", trusted_proxies: [127.0.0.1/32] }\n'
const IDP = 'issuer: "https://idp.example.com", client_id: bff-server'

const SETTINGS_FAULTS: readonly Row[] = [
  ['http off loopback for browsers', server('public_url: http://app.example.com'), ['1 PUBLIC_URL_INSECURE']],
  ['a public URL with a path', server('public_url: https://app.example.com/app'), ['1 BAD_PUBLIC_URL']],
  ['a public URL with a query', server('public_url: "https://app.example.com/?a"'), ['1 BAD_PUBLIC_URL']],
  ['a public URL with credentials', server('public_url: https://u:p@app.example.com'), ['1 BAD_PUBLIC_URL']],
  ['a star for more than one label', server('public_url: "https://*.com"'), ['1 BAD_PUBLIC_URL']],
  ['a star amid the host', server('public_url: "https://a.*.example.com"'), ['1 BAD_PUBLIC_URL']],
  [
    'both public_url and public_urls',
    server('public_url: https://a.example.com, public_urls: [https://b.example.com]'),
    ['1 PUBLIC_URL_TWICE'],
  ],
  ['the only one of public_urls wrong', server('public_urls: ["http://app.example.com"]'), ['1 PUBLIC_URL_INSECURE']],
  ['no public URL at all', server('public_urls: []'), ['1 MISSING_KEY']],
  [
    'everybody as a trusted proxy, in IPv4',
    server('public_url: https://a.example.com, trusted_proxies: [0.0.0.0/0]'),
    ['1 TRUSTS_EVERYBODY'],
  ],
  [
    'everybody as a trusted proxy, in IPv6',
    server('public_url: https://a.example.com, trusted_proxies: ["::/0"]'),
    ['1 TRUSTS_EVERYBODY'],
  ],
  [
    'a block that is none',
    server('public_url: https://a.example.com, trusted_proxies: [10.0.0.0/33, example.com]'),
    ['1 BAD_CIDR', '1 BAD_CIDR'],
  ],
  [
    'verify over TLS without a certificate',
    server('public_url: https://a.example.com, verify_listen: "127.0.0.1:4443"'),
    ['1 VERIFY_TLS_MISSING'],
  ],
  [
    'a certificate that is not there',
    server(
      'public_url: https://a.example.com, verify_listen: "127.0.0.1:4443", verify_tls: { cert: no.pem, key: tls/bff.key }',
    ),
    ['1 TLS_FILE'],
  ],
  [
    'the key of another certificate',
    server(
      'public_url: https://a.example.com, verify_listen: "127.0.0.1:4443", verify_tls: { cert: tls/bff.pem, key: tls/other.key }',
    ),
    ['1 TLS_KEY_MISMATCH'],
  ],
  [
    'two listeners on one address',
    server('public_url: https://a.example.com, admin_listen: "127.0.0.1:4181"'),
    ['1 LISTEN_TWICE'],
  ],
  ['a base path of / alone', server('public_url: https://a.example.com, base_path: /'), ['1 BAD_BASE_PATH']],
  [
    'a base path with a slash at its end',
    server('public_url: https://a.example.com, base_path: /auth/'),
    ['1 BAD_BASE_PATH'],
  ],
  [
    'an origin with a path',
    server('public_url: https://a.example.com, cors_origins: [https://b.example.com/x]'),
    ['1 BAD_ORIGIN'],
  ],
  ['any origin', server('public_url: https://a.example.com, cors_origins: ["*"]'), ['1 BAD_ORIGIN']],
  ['an issuer over http off loopback', auth('issuer: http://idp.example.com, client_id: x'), ['2 ISSUER_INSECURE']],
  ['an issuer with a query', auth('issuer: "https://idp.example.com/?a", client_id: x'), ['2 BAD_ISSUER']],
  ['scopes without openid', auth(`${IDP}, oauth_scopes: profile email`), ['2 SCOPE_OPENID']],
  ['two credentials of one client', auth(`${IDP}, client_secret: a, private_key: tls/bff.key`), ['2 CREDENTIAL_TWICE']],
  [
    'a method that the credential is not for',
    auth(`${IDP}, client_secret: a, token_endpoint_auth_method: private_key_jwt`),
    ['2 AUTH_METHOD'],
  ],
  ['a private key that is none', auth(`${IDP}, private_key: tls/bff.pem`), ['2 PRIVATE_KEY']],
  [
    'a provider beside providers',
    auth(`issuer: https://a.example.com, providers: { b: { issuer: https://b.example.com, client_id: b } }`),
    ['2 PROVIDER_TWICE'],
  ],
  ['no provider among providers', auth('providers: {}'), ['2 EMPTY_VALUE']],
  [
    'two providers with one issuer',
    auth(
      'providers: { a: { issuer: https://a.example.com, client_id: b }, b: { issuer: https://a.example.com, client_id: b } }',
    ),
    ['2 ISSUER_TWICE'],
  ],
  [
    'the password grant',
    auth(`${IDP}, native_grants: { x: { grant_type: password, parameters: [username] } }`),
    ['2 GRANT_TYPE'],
  ],
  [
    'a grant that sets the client',
    auth(`${IDP}, native_grants: { x: { grant_type: "urn:x:y", parameters: [client_id] } }`),
    ['2 GRANT_PARAMETER'],
  ],
  [
    'a user named by a parameter that is none',
    auth(`${IDP}, native_grants: { x: { grant_type: "urn:x:y", parameters: [a], identifier: b } }`),
    ['2 GRANT_IDENTIFIER'],
  ],
  [
    'a parameter of the login that is ours',
    auth(`${IDP}, extra_params: { redirect_uri: https://evil.example.com }`),
    ['2 RESERVED_PARAMETER'],
  ],
  ['a mail domain with an @', auth(`${IDP}, require: { email_domains: ["a@example.com"] }`), ['2 BAD_DOMAIN']],
  [
    'a logout that leads to another host in disguise',
    auth(`${IDP}, post_logout_redirect: "//evil.example.com"`),
    ['2 BAD_RETURN'],
  ],
  [
    'a short secret among long ones',
    settings({ session: 'session: { secret: ["0123456789abcdefghijklmnopqrstuv", short] }\n' }),
    ['3 SECRET_TOO_SHORT'],
  ],
  ['idle longer than absolute', session('idle_timeout: 13h'), ['3 IDLE_ABOVE_ABSOLUTE']],
  ['a duration outside its range', session('stall_timeout: 2h'), ['3 DURATION_RANGE']],
  ['a cookie domain that is no parent', session('cookie_domain: other.com'), ['3 COOKIE_DOMAIN']],
  ['a cookie domain that only ends alike', session('cookie_domain: ample.com'), ['3 COOKIE_DOMAIN']],
  ['a cookie domain below the host', session('cookie_domain: x.app.example.com'), ['3 COOKIE_DOMAIN']],
  ['a cookie for all of .com', session('cookie_domain: com'), ['3 COOKIE_DOMAIN']],
  [
    'a cookie for every host of .co.uk',
    session('cookie_domain: co.uk', {
      server: 'server: { public_url: "https://a.co.uk", trusted_proxies: [10.0.0.1] }\n',
    }),
    ['3 COOKIE_DOMAIN'],
  ],
  [
    'a cookie for everybody’s pages',
    session('cookie_domain: github.io', {
      server: 'server: { public_url: "https://a.github.io", trusted_proxies: [10.0.0.1] }\n',
    }),
    ['3 COOKIE_DOMAIN'],
  ],
  [
    'a cookie for all of localhost',
    session('cookie_domain: localhost', {
      server: 'server: { public_url: "http://*.apps.localhost:8000", trusted_proxies: [10.0.0.1] }\n',
    }),
    ['3 COOKIE_DOMAIN'],
  ],
  ['SameSite=None without a reason', session('same_site: none'), ['3 SAME_SITE_NONE']],
  [
    'SameSite=None with an empty reason',
    session('same_site: none, same_site_reason: ""'),
    ['3 EMPTY_VALUE', '3 SAME_SITE_NONE'],
  ],
  [
    'a login URL with a star',
    server('public_url: "https://*.example.com", login_url: "https://*.example.com"'),
    ['1 LOGIN_URL'],
  ],
  [
    'a login URL that is none of ours',
    server('public_url: "https://*.apps.example.com", login_url: https://login.example.com'),
    ['1 LOGIN_URL'],
  ],
  [
    'a login URL on another port',
    server('public_url: "https://*.example.com", login_url: "https://login.example.com:8443"'),
    ['1 LOGIN_URL'],
  ],
  [
    'a login URL whose cookie stays there',
    server('public_url: "https://*.example.com", login_url: https://login.example.com'),
    ['1 LOGIN_URL_COOKIE'],
  ],
  [
    'a cookie domain that a public host lies outside of',
    session('cookie_domain: apps.example.com', {
      server:
        'server: { public_urls: ["https://*.apps.example.com", "https://login.example.com"], login_url: "https://login.example.com", trusted_proxies: [10.0.0.1] }\n',
    }),
    ['3 COOKIE_DOMAIN'],
  ],
  ['SameSite=None over http', session('same_site: none', { server: LOCAL }), ['3 SAME_SITE_INSECURE']],
  [
    'SameSite=None with a blank reason',
    session('same_site: none, same_site_reason: " "'),
    ['3 BAD_VALUE', '3 SAME_SITE_NONE'],
  ],
  ['a session cookie named as the one of a sign-out', session('cookie_name: bff_logout_state'), ['3 BAD_COOKIE_NAME']],
  ['a __Host- cookie with a domain', session('cookie_name: __Host-s, cookie_domain: example.com'), ['3 COOKIE_PREFIX']],
  ['a __Secure- cookie over http', session('cookie_name: __Secure-s', { server: LOCAL }), ['3 COOKIE_PREFIX']],
  ['a cookie name that is taken', session('cookie_name: _csrf_token'), ['3 BAD_COOKIE_NAME']],
  ['a store that is none', session('store: postgres://db'), ['3 BAD_STORE']],
  ['a sentinel without its master', session('store: "redis+sentinel://h:26379"'), ['3 BAD_STORE']],
  ['a key prefix that would choose the slot', session('store: "redis://h", key_prefix: "{app}:"'), ['3 BAD_VALUE']],
  ['TLS files for a store without TLS', session('store: "redis://h", store_tls: {}'), ['3 STORE_TLS_UNUSED']],
  ['a CA of the store that is not there', session('store: "rediss://h", store_tls: { ca: no.pem }'), ['3 TLS_FILE']],
  [
    'half a client certificate',
    session('store: "rediss://h", store_tls: { cert: no.pem }'),
    ['3 STORE_TLS_PAIR', '3 TLS_FILE'],
  ],
  [
    'a client credentials service without a client',
    settings({}, 'service_tokens: { a: { strategy: client_credentials } }\n'),
    ['4 CLIENT_MISSING'],
  ],
  [
    'a header in the map that is set by ourselves',
    settings({}, 'identity_headers: { map: { X-Identity-Assertion: a, x-csrf-token: b } }\n'),
    ['4 RESERVED_HEADER', '4 RESERVED_HEADER'],
  ],
  [
    'a header for a service that nothing sets, or another preset',
    settings(
      {},
      'service_tokens: { a: { audience: a, identity_headers: [X-User-Mail, Remote-User, x-user-id, X-Dept, X-Correlation-ID] } }\nidentity_headers: { map: { X-Dept: d } }\n',
    ),
    ['4 UNKNOWN_HEADER', '4 UNKNOWN_HEADER'],
  ],
  [
    'a client that nobody knows',
    settings({}, 'service_tokens: { a: { strategy: client_credentials, client: b } }\n'),
    ['4 UNKNOWN_CLIENT'],
  ],
  [
    'a public client for client credentials',
    settings(
      {},
      'clients: { m: { client_id: m } }\nservice_tokens: { a: { strategy: client_credentials, client: m } }\n',
    ),
    ['5 CLIENT_PUBLIC'],
  ],
  [
    'another client for the login’s refresh token',
    settings(
      {},
      'clients: { m: { client_id: m, client_secret: s } }\nservice_tokens: { a: { strategy: refresh, client: m } }\n',
    ),
    ['5 CLIENT_UNUSABLE'],
  ],
  [
    'two audiences of one service',
    settings({}, 'service_audiences: { a: x }\nservice_tokens: { a: { audience: y } }\n'),
    ['5 AUDIENCE_TWICE'],
  ],
  [
    'two lists of scopes of one service',
    settings({}, 'service_scopes: { a: x }\nservice_tokens: { a: { scopes: [y] } }\n'),
    ['5 SCOPES_TWICE'],
  ],
  [
    'a token endpoint over http',
    settings({}, 'service_tokens: { a: { token_endpoint: http://idp.example.com/token } }\n'),
    ['4 ENDPOINT_INSECURE'],
  ],
  [
    'a rate that is none',
    settings({}, 'limits: { login: 600/d, callback: 0/s, native_grant: many }\n'),
    ['4 BAD_RATE', '4 BAD_RATE', '4 BAD_RATE'],
  ],
  [
    'a claim into a header that is none',
    settings({}, 'identity_headers: { map: { "X Department": a } }\n'),
    ['4 BAD_HEADER_NAME'],
  ],
  [
    'a claim into Authorization',
    settings({}, 'identity_headers: { map: { Authorization: a } }\n'),
    ['4 RESERVED_HEADER'],
  ],
  [
    'a claim into X-Forwarded-For',
    settings({}, 'identity_headers: { map: { X-Forwarded-For: a } }\n'),
    ['4 RESERVED_HEADER'],
  ],
  ['the demo’s secret off loopback', auth(`${IDP}, client_secret: demo-only-secret`), ['2 DEMO_SECRET']],
]

for (const [what, files, found] of SETTINGS_FAULTS)
  test(`settings with ${what} are refused`, () =>
    assert.deepEqual(
      faults(files),
      found.map((f) => `settings.yaml:${f}`),
    ))

const M2M =
  'clients: { m: { client_id: m, client_secret: s } }\nservice_tokens: { b: { audience: b, strategy: client_credentials, client: m } }\n'

const ROUTE_FAULTS: readonly Row[] = [
  ['a path that does not begin with /', route('path: api'), ['1 BAD_PATH']],
  ['a query in its path', route('path: "/a?b"'), ['1 BAD_PATH']],
  ['.. in its path', route('path: /a/../b'), ['1 BAD_PATH']],
  ['an empty segment in its path', route('path: //a'), ['1 BAD_PATH']],
  ['a letter encoded in its path', route('path: /%61'), ['1 BAD_PATH']],
  [
    'a rule that lists nothing',
    route('path: /a, require: { groups: [], claims: { x: [] } }'),
    ['1 REQUIRE_EMPTY', '1 REQUIRE_EMPTY'],
  ],
  ['a colon encoded in its path', route('path: /a%3Ab'), ['1 BAD_PATH']],
  ['an escape in small letters in its path', route('path: /a%c3%a4'), ['1 BAD_PATH']],
  ['a backslash in its path', route('path: "/a\\\\b"'), ['1 BAD_PATH']],
  ['a star amid its path', route('path: /a/*/b'), ['1 BAD_PATH']],
  ['a star without its slash', route('path: /a*'), ['1 BAD_PATH']],
  [
    '{path} amid its upstream path',
    route('path: /a/*, target_service: s, upstream_path: "/{path}/b"'),
    ['1 BAD_UPSTREAM_PATH'],
  ],
  [
    '.. in its upstream path',
    route('path: /a/*, target_service: s, upstream_path: "/../{path}"'),
    ['1 BAD_UPSTREAM_PATH'],
  ],
  ['an upstream path and no service', route('path: /a, upstream_path: /b'), ['1 UPSTREAM_MISSING']],
  ['an upstream path and no base_url', route('path: /a, target_service: s, upstream_path: /b'), ['1 BASE_URL_MISSING']],
  ['a method in lower case', route('path: /a, methods: [get]'), ['1 BAD_METHOD']],
  ['a host that is not ours', route('path: /a, host: other.example.com'), ['1 UNKNOWN_HOST']],
  ['a path below our own endpoints', route('path: /auth/x'), ['1 PATH_RESERVED']],
  ['a path of our own in capitals', route('path: /AUTH/*'), ['1 PATH_RESERVED']],
  ['the address of the session endpoint', route('path: /api/auth/session'), ['1 PATH_RESERVED']],
  ['public with require', route('path: /a, auth: public, require: { groups: x }'), ['1 PUBLIC_WITH_REQUIRE']],
  [
    'public with a service that requires',
    routes(
      'services: { s: { require: { groups: x } } }\nroutes: [{ id: a, path: /a, auth: public, target_service: s }]',
    ),
    ['2 PUBLIC_WITH_REQUIRE'],
  ],
  [
    'public with a machine’s token',
    route('path: /a, auth: public, target_service: b', M2M),
    ['1 PUBLIC_WITH_MACHINE_TOKEN'],
  ],
  ['an unknown bearer issuer', route('path: /a, bearer: [x]'), ['1 UNKNOWN_ISSUER']],
  [
    'bearer where nobody is asked',
    route(
      'path: /a, auth: deny, bearer: [x]',
      'bearer_issuers: { x: { issuer: https://x.example.com, audience: a } }\n',
    ),
    ['1 BEARER_UNUSED'],
  ],
  [
    'an acr that no one sign-in can have beside its service’s',
    routes(
      'services: { s: { require: { acr: [gold] } } }\nroutes: [{ id: a, path: /a, target_service: s, require: { acr: [silver] } }]',
    ),
    ['2 ACR_DISJOINT'],
  ],
  ['a network that is none', route('path: /a, require: { networks: [10.0.0.0/40] }'), ['1 BAD_CIDR']],
  ['no id', routes('routes: [{ path: /a }]'), ['1 MISSING_KEY']],
  ['the id of another', routes('routes:\n- { id: a, path: /a }\n- { id: a, path: /b }'), ['3 ROUTE_TWICE']],
  [
    'the path of another',
    routes('routes:\n- { id: a, path: /a }\n- { id: b, path: /a, methods: [GET] }'),
    ['3 ROUTES_TIE'],
  ],
  [
    'a method of another on the same path',
    routes('routes:\n- { id: a, path: /a, methods: [GET, PUT] }\n- { id: b, path: /a, methods: [PUT] }'),
    ['3 ROUTES_TIE'],
  ],
  ['a base_url with a query', routes('services: { s: { base_url: "http://s/?a" } }'), ['1 BAD_BASE_URL']],
  ['a base_url with credentials', routes('services: { s: { base_url: "http://u:p@s" } }'), ['1 BAD_BASE_URL']],
]

for (const [what, files, found] of ROUTE_FAULTS)
  test(`a route with ${what} is refused`, () =>
    assert.deepEqual(
      faults(files),
      found.map((f) => `routes.yaml:${f}`),
    ))

test('a bearer issuer whose audience is the login client’s id at the same provider is refused', () => {
  const at = (issuer: string, audience: string): string[] =>
    faults(settings({}, `bearer_issuers: { p: { issuer: "${issuer}", audience: ${audience} } }\n`))
  assert.deepEqual(at('https://idp.example.com', 'bff-server'), ['settings.yaml:4 BEARER_AUDIENCE'])
  assert.deepEqual(at('https://idp.example.com/', 'bff-server'), ['settings.yaml:4 BEARER_AUDIENCE'])
  assert.deepEqual(at('https://idp.example.com', 'api'), [])
  assert.deepEqual(at('https://partner.example.com', 'bff-server'), [])
})

test('R16 a second client with the login client’s id is refused, and the two-client rule is named', () => {
  assert.deepEqual(faults(settings({}, 'clients: { m: { client_id: bff-server, client_secret: s } }\n')), [
    'settings.yaml:4 LOGIN_CLIENT_REUSED',
  ])
})

test('two routes that no request can be torn between are fine', () => {
  const s = {
    settings: minimum({
      server: 'server: { public_urls: [https://a.example.com, https://b.example.com], trusted_proxies: [10.0.0.1] }\n',
    }),
  }
  assert.deepEqual(
    faults({ ...s, routes: 'routes: [{ id: a, path: /a, methods: [GET] }, { id: b, path: /a, methods: [POST] }]' }),
    [],
  )
  assert.deepEqual(
    faults({
      ...s,
      routes:
        'routes: [{ id: a, path: /a, host: a.example.com }, { id: b, path: /a, host: B.example.com }, { id: c, path: /a }]',
    }),
    [],
  )
  assert.deepEqual(
    faults({
      ...s,
      routes: 'routes: [{ id: a, path: /a }, { id: b, path: /a/* }, { id: c, path: /* }, { id: d, path: /authors }]',
    }),
    [],
  )
})

test('a cookie domain covers itself, hosts below it, and a wildcard of its own', () => {
  const on = (urls: string): Files =>
    session('cookie_domain: .Example.com', {
      server: `server: { public_urls: [${urls}], trusted_proxies: [10.0.0.1] }\n`,
    })
  assert.deepEqual(faults(on('"https://example.com", "https://a.b.example.com", "https://*.example.com"')), [])
})

test('one login host for a wildcard of hosts, and SameSite=None with its reason, are without fault', () => {
  const on =
    'server: { public_urls: ["https://*.example.com"], login_url: "https://login.example.com", trusted_proxies: [10.0.0.1] }\n'
  assert.deepEqual(faults(session('cookie_domain: example.com', { server: on })), [])
  assert.deepEqual(faults(server('public_url: https://a.example.com, login_url: https://a.example.com')), [])
  assert.deepEqual(faults(session('same_site: none, same_site_reason: "shown inside the partner’s portal"')), [])
})

test('a host of a route may be one that a wildcard stands for, or that wildcard', () => {
  const s = {
    settings: minimum({
      server: 'server: { public_url: "https://*.apps.example.com", trusted_proxies: [10.0.0.1] }\n',
    }),
  }
  assert.deepEqual(faults({ ...s, routes: 'routes: [{ id: a, path: /a, host: x.apps.example.com }]' }), [])
  assert.deepEqual(faults({ ...s, routes: 'routes: [{ id: a, path: /a, host: "*.apps.example.com" }]' }), [])
  assert.deepEqual(faults({ ...s, routes: 'routes: [{ id: a, path: /a, host: "*.other.example.com" }]' }), [
    'routes.yaml:1 UNKNOWN_HOST',
  ])
  assert.deepEqual(faults({ ...s, routes: 'routes: [{ id: a, path: /a, host: x.y.apps.example.com }]' }), [
    'routes.yaml:1 UNKNOWN_HOST',
  ])
})

test('the demo’s secrets are fine on loopback', () => {
  assert.deepEqual(
    faults(settings({ server: LOCAL, session: 'session: { secret: demo-only-0123456789-abcdefghijkl }\n' })),
    [],
  )
})

const WARNINGS: readonly Row[] = [
  ['no trusted proxies', server('public_url: https://a.example.com'), ['settings.yaml:1 NO_TRUSTED_PROXIES']],
  [
    'very many trusted proxies',
    server('public_url: https://a.example.com, trusted_proxies: [128.0.0.0/1]'),
    ['settings.yaml:1 TRUSTS_MANY'],
  ],
  [
    'an open admin listener without a token',
    server('public_url: https://a.example.com, trusted_proxies: [10.0.0.1], admin_listen: "0.0.0.0:4190"'),
    ['settings.yaml:1 ADMIN_WITHOUT_TOKEN'],
  ],
  [
    'networks without a gateway that says who its client is',
    {
      settings: minimum({ server: 'server: { public_url: https://a.example.com }\n' }),
      routes: 'routes: [{ id: a, path: /a, require: { networks: [10.0.0.0/8] } }]',
    },
    ['settings.yaml:1 NO_TRUSTED_PROXIES', 'routes.yaml:1 NETWORKS_BLIND'],
  ],
  ['a route whose service has no audience', route('path: /a, target_service: s'), ['routes.yaml:1 AUDIENCE_MISSING']],
  [
    'an audience without a route',
    routes('routes: []', 'service_audiences: { a: x }\n'),
    ['settings.yaml:4 AUDIENCE_UNUSED'],
  ],
  [
    'a token that is good elsewhere',
    route('path: /a, target_service: b', 'service_tokens: { b: { audience: x, allow_other_audiences: true } }\n'),
    ['settings.yaml:4 OTHER_AUDIENCES'],
  ],
  [
    'a token that nobody can check',
    route('path: /a, target_service: b', 'service_tokens: { b: { audience: x, trust_opaque: true } }\n'),
    ['settings.yaml:4 OPAQUE_TRUSTED'],
  ],
  [
    'a scope that login never asks for',
    route('path: /a, target_service: b', 'service_tokens: { b: { audience: x, scopes: [api.read] } }\n'),
    ['settings.yaml:4 SCOPE_NOT_ASKED'],
  ],
  [
    'an audience that is no resource',
    route('path: /a, target_service: b', 'tokens: { audience_parameter: resource }\nservice_audiences: { b: x }\n'),
    ['settings.yaml:5 NOT_A_RESOURCE'],
  ],
  [
    'a user told by name alone, where several issuers may have one',
    route(
      'path: /a, target_service: b',
      'service_tokens: { b: { audience: x, identity_headers: [X-User-ID] } }\nbearer_issuers: { p: { issuer: https://p.example.com, audience: y } }\n',
    ),
    ['settings.yaml:4 ISSUER_NOT_TOLD'],
  ],
  [
    'a service that asks for an assertion that is off',
    route(
      'path: /a, target_service: b',
      'service_tokens: { b: { audience: x, identity_headers: [X-Identity-Assertion] } }\n',
    ),
    ['settings.yaml:4 ASSERTION_OFF'],
  ],
  ['SameSite=Strict', session('same_site: strict'), ['settings.yaml:3 SAME_SITE_STRICT']],
  [
    'a secret of one letter',
    settings({ session: `session: { secret: ${'x'.repeat(40)} }\n` }),
    ['settings.yaml:3 SECRET_WEAK'],
  ],
  [
    'a path that the upstream never sees',
    routes(
      'services: { s: { base_url: http://s } }\nroutes: [{ id: a, path: /a/*, target_service: s, upstream_path: /b }]',
      'service_audiences: { s: x }\n',
    ),
    ['routes.yaml:2 UPSTREAM_PATH'],
  ],
]

for (const [what, files, found] of WARNINGS)
  test(`${what} is a warning, and no fault`, () => {
    assert.deepEqual(faults(files), [])
    assert.deepEqual(warnings(files), found)
  })
