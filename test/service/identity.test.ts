import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { createVerifier } from '../../docs/examples/verify-assertion.ts'
import { send, type Client } from '../support/client.ts'
import { movableClock } from '../support/clock.ts'
import {
  BILLING,
  ORDERS,
  ORIGIN,
  PUBLIC_HOST,
  startService,
  type Service,
  type ServiceOptions,
} from '../support/service.ts'

const OLD = 'demo-only-session-secret-0123456789abcdef'
const NEW = 'demo-only-another-secret-0123456789abcdef'

function identity(identity_headers: Record<string, unknown>): NonNullable<ServiceOptions['settings']> {
  return (settings) => {
    settings['identity_headers'] = identity_headers
  }
}

const assertionOf = (res: Response): string => res.headers.get('x-identity-assertion') ?? ''
const keysOf = async (s: Service): Promise<{ kid: string }[]> =>
  ((await (await send(`${s.url}/auth/jwks`)).json()) as { keys: { kid: string }[] }).keys

async function withService(o: ServiceOptions, use: (s: Service) => Promise<void>): Promise<void> {
  const s = await startService(o)
  try {
    await use(s)
  } finally {
    await s.stop()
  }
}

describe('a preset says what its own product says', () => {
  for (const [preset, wanted] of Object.entries({
    'oauth2-proxy': {
      'x-auth-request-user': 'alice',
      'x-auth-request-email': 'alice@example.com',
      'x-forwarded-user': 'alice',
      'x-forwarded-email': 'alice@example.com',
      'x-forwarded-access-token': null,
      'x-user-id': null,
    },
    authelia: {
      'remote-user': 'alice',
      'remote-name': 'alice Example',
      'remote-email': 'alice@example.com',
      'x-user-id': null,
    },
    'traefik-hub': { 'x-forwarded-user': 'alice', 'x-forwarded-email': 'alice@example.com', 'remote-user': null },
  })) {
    test(preset, () =>
      withService({ settings: identity({ preset }) }, async (s) => {
        const res = await s.verify('/orders/1', { client: await s.signIn() })
        assert.equal(res.status, 200)
        for (const [name, value] of Object.entries(wanted)) assert.equal(res.headers.get(name), value, name)
      }),
    )
  }

  test('R23 a service is told only what its own list says, whatever the preset', () =>
    withService(
      {
        settings: (x) => {
          x['identity_headers'] = { preset: 'oauth2-proxy', assertion: { enabled: true } }
          x['service_tokens'] = {
            orders: {
              audience: ORDERS,
              scopes: ['api.read'],
              identity_headers: ['X-Forwarded-Email', 'X-Identity-Assertion'],
            },
            billing: { audience: BILLING, scopes: ['api.read'], identity_headers: [] },
          }
        },
      },
      async (s) => {
        const client = await s.signIn()
        const told = async (uri: string): Promise<string[]> =>
          [...(await s.verify(uri, { client })).headers.keys()].filter((n) => n.startsWith('x-')).sort()
        assert.deepEqual(await told('/orders/1'), ['x-correlation-id', 'x-forwarded-email', 'x-identity-assertion'])
        assert.deepEqual(await told('/billing/1'), ['x-correlation-id'])
        const claims = decodeJwt(assertionOf(await s.verify('/orders/1', { client })))
        assert.deepEqual([claims['email'], claims['name']], ['alice@example.com', undefined])
      },
    ))
})

describe('the signed assertion', () => {
  let s: Service
  let alice: Client
  const clock = movableClock()
  before(async () => {
    s = await startService({ clock, settings: identity({ assertion: { enabled: true, ttl: '60s' } }) })
    alice = await s.signIn()
  })
  after(() => s.stop())

  const verifier = (audience: string): ReturnType<typeof createVerifier> =>
    createVerifier(new URL(`${s.url}/auth/jwks`), { issuer: ORIGIN, audience })

  test('is verified by an upstream with the published keys, for its own audience alone', async () => {
    const res = await s.verify('/orders/1', { client: alice })
    const claims = await verifier(ORDERS)(assertionOf(res))
    assert.equal(claims.sub, 'alice')
    assert.equal(claims['sid'], res.headers.get('x-session-id'))
    assert.equal(claims['email'], 'alice@example.com')
    assert.equal(claims['idp_iss'], s.provider.issuer)
    assert.equal(String(claims['auth_time']), res.headers.get('x-auth-time'))
    assert.equal((claims.exp ?? 0) - (claims.iat ?? 0), 60)
    await assert.rejects(verifier(BILLING)(assertionOf(res)), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' })
  })

  test('on a route without a service it is for our own origin, for a service without an audience for its name', async () => {
    assert.equal(decodeJwt(assertionOf(await s.verify('/plain/1', { client: alice }))).aud, ORIGIN)
  })

  test('is signed once for many requests of a session and a service, and anew at half its life', async () => {
    const ask = async (): Promise<string> => assertionOf(await s.verify('/orders/1', { client: alice }))
    const first = await ask()
    assert.equal(await ask(), first)
    clock.jump(31_000)
    const second = await ask()
    clock.reset()
    assert.notEqual(second, first)
  })

  test('is no bearer of ours, and nobody may configure us as an issuer of bearers', async () => {
    const jwt = assertionOf(await s.verify('/orders/1', { client: alice }))
    const res = await s.verify('/orders/1', { headers: { authorization: `Bearer ${jwt}` } })
    assert.equal(res.status, 401)
    assert.equal(res.headers.get('x-bff-error'), 'NO_SESSION')
    assert.equal(decodeProtectedHeader(jwt).typ, 'bff-identity+jwt')
    assert.throws(
      () =>
        s.rewrite({
          settings: (x) => {
            x['bearer_issuers'] = { us: { issuer: ORIGIN, audience: ORDERS } }
          },
        }),
      /OWN_ISSUER/,
    )
  })

  test('is not on a public route', async () => {
    assert.equal((await s.verify('/open/1', { client: alice })).headers.get('x-identity-assertion'), null)
  })

  test('its keys are public ones, may be cached, and are told under any Host', async () => {
    const res = await send(`${s.url}/auth/jwks`, { headers: { host: 'bff.internal:4181' } })
    assert.equal(res.status, 200)
    assert.match(res.headers.get('cache-control') ?? '', /max-age=300/)
    const { keys } = (await res.json()) as { keys: Record<string, unknown>[] }
    assert.deepEqual(Object.keys(keys[0] ?? {}).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
  })
})

test('two replicas publish the same keys; a rotated secret signs with the new one and still publishes the old', () => {
  const on = (secret: string[]): ServiceOptions => ({
    settings: (x) => {
      x['identity_headers'] = { assertion: { enabled: true } }
      x.session['secret'] = secret
    },
  })
  return withService(on([OLD, NEW]), (before) =>
    withService(on([NEW, OLD]), async (rotated) => {
      const [a, b] = [await keysOf(before), await keysOf(rotated)]
      assert.deepEqual(a.map((k) => k.kid).sort(), b.map((k) => k.kid).sort())
      const signer = async (s: Service): Promise<string> => {
        const jwt = assertionOf(await s.verify('/orders/1', { client: await s.signIn() }))
        for (const other of [before, rotated])
          await createVerifier(new URL(`${other.url}/auth/jwks`), { issuer: ORIGIN, audience: ORDERS })(jwt)
        return decodeProtectedHeader(jwt).kid ?? ''
      }
      assert.equal(await signer(before), a[0]?.kid)
      assert.equal(await signer(rotated), b[0]?.kid)
      assert.notEqual(a[0]?.kid, b[0]?.kid)
    }),
  )
})

test('where the assertion is off there are no keys', () =>
  withService({}, async (s) => {
    const res = await send(`${s.url}/auth/jwks`, { headers: { 'x-forwarded-host': PUBLIC_HOST } })
    assert.equal(res.status, 404)
    assert.equal(res.headers.get('x-bff-error'), 'NO_ROUTE')
  }))
