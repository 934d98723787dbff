import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { SignJWT, generateKeyPair } from 'jose'
import { send, type Client } from '../support/client.ts'
import { startInstantProvider, type InstantProvider } from '../support/instant-provider.ts'
import { ORDERS, PUBLIC_HOST, startService, type Service } from '../support/service.ts'

let idp: InstantProvider
let s: Service
let alice: Client
before(async () => {
  idp = await startInstantProvider()
  s = await startService({
    issuer: idp.issuer,
    settings: (x) => Object.assign(x, { bearer_issuers: { house: { issuer: idp.issuer, audience: ORDERS } } }),
    routes: (r) =>
      r.routes.push(
        { id: 'm', path: '/m/*', target_service: 'orders', bearer: ['house'] },
        { id: 'any', path: '/any/*', bearer: ['house'] },
        { id: 'strong', path: '/strong/*', bearer: ['house'], require: { acr: ['gold'], max_age: '5m' } },
      ),
  })
  alice = await idp.signIn(s.client())
})
after(async () => {
  await s.stop()
  idp.close()
})

const at = (
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = { typ: 'at+jwt' },
): Promise<string> => idp.sign({ aud: ORDERS, sub: 'robot', ...claims }, header)
const verify = (authorization: string | string[], uri = '/any/1', client?: Client): Promise<Response> =>
  s.verify(uri, {
    headers: { authorization } as unknown as Record<string, string>,
    ...(client === undefined ? {} : { client }),
  })
const code = (res: Response): string | null => res.headers.get('x-bff-error')

describe('a bearer token', () => {
  const now = (): number => Math.floor(Date.now() / 1000)
  const GOOD: Record<string, () => Promise<string>> = {
    'typ at+jwt': () => at(),
    'typ application/at+jwt': () => at({}, { typ: 'application/at+jwt' }),
    'typ JWT': () => at({}, { typ: 'JWT' }),
    'typ AT+JWT': () => at({}, { typ: 'AT+JWT' }),
    'an audience list that holds ours': () => at({ aud: ['https://else.example', ORDERS] }),
  }
  for (const [what, make] of Object.entries(GOOD))
    test(`is taken: ${what}`, async () => assert.equal((await verify(`Bearer ${await make()}`)).status, 200))

  const BAD: Record<string, () => Promise<string>> = {
    'an id token of a sign-in': () => idp.sign({ nonce: 'n', sub: 'alice' }, { typ: 'JWT' }),
    'an id token with our audience': () => at({ at_hash: 'x', nonce: 'n' }, { typ: 'JWT' }),
    'an id token for several audiences': () =>
      at({ aud: ['bff-server', ORDERS], azp: 'bff-server', nonce: 'n' }, { typ: 'JWT' }),
    'a logout token': () => at({ events: {} }, { typ: 'logout+jwt' }),
    'a logout token without its typ': () => at({ events: {} }, { typ: 'JWT' }),
    'an assertion of a client': () => at({}, { typ: 'client-authentication+jwt' }),
    'a Keycloak id token': () => at({ typ: 'ID' }, { typ: 'JWT' }),
    'a Keycloak refresh token': () => at({ typ: 'Refresh' }, { typ: 'JWT' }),
    'a Cognito id token': () => at({ token_use: 'id' }, { typ: 'JWT' }),
    'a token of tomorrow': () => at({ nbf: now() + 3600 }),
    'an expired one': () => at({ exp: now() - 3600 }),
    'one without an end': () => at({ exp: undefined }),
    'one whose end is a text': () => at({ exp: '9999999999' }),
    'one without a subject': () => at({ sub: undefined }),
    'one whose subject is a number': () => at({ sub: 7 }),
    'one without an audience': () => at({ aud: undefined }),
    'an audience that begins as ours does': () => at({ aud: `${ORDERS}.evil.example` }),
    'an audience in another case': () => at({ aud: ORDERS.toUpperCase() }),
    'an issuer with a slash more': () => at({ iss: `${idp.issuer}/` }),
    'a foreign key under the same kid': async () => {
      const { privateKey } = await generateKeyPair('RS256')
      return new SignJWT({ iss: idp.issuer, aud: ORDERS, sub: 'robot', exp: now() + 60 })
        .setProtectedHeader({ alg: 'RS256', kid: 'k', typ: 'at+jwt' })
        .sign(privateKey)
    },
    'a key in its own header': async () => {
      const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
      const { exportJWK } = await import('jose')
      return new SignJWT({ iss: idp.issuer, aud: ORDERS, sub: 'robot', exp: now() + 60 })
        .setProtectedHeader({ alg: 'RS256', jwk: await exportJWK(publicKey), typ: 'at+jwt' })
        .sign(privateKey)
    },
    'a critical extension': () => at({}, { typ: 'at+jwt', crit: ['exp'], exp: 1 }).catch(() => 'a.b.c'),
  }
  for (const [what, make] of Object.entries(BAD))
    test(`is refused, with a session beside it too: ${what}`, async () => {
      const token = await make()
      for (const client of [undefined, alice]) {
        const res = await verify(`Bearer ${token}`, '/any/1', client)
        assert.deepEqual([res.status, code(res)], [401, 'NO_SESSION'])
        assert.match(res.headers.get('www-authenticate') ?? '', /invalid_token/)
      }
    })
})

describe('the Authorization header', () => {
  test('names its scheme in any case, with blanks around, and reaches the service as one', async () => {
    const token = await at()
    for (const text of [`bearer ${token}`, `BEARER ${token}`, `Bearer   ${token}`, `Bearer ${token} `]) {
      const res = await verify(text, '/m/1')
      assert.equal(res.status, 200, text.slice(0, 10))
      assert.equal(res.headers.get('authorization'), `Bearer ${token}`)
    }
  })

  test('stands once: two of them, or two in one, are refused, cookie or not', async () => {
    const token = await at()
    for (const client of [undefined, alice]) {
      assert.equal((await verify([`Bearer ${token}`, `Bearer ${token}`], '/any/1', client)).status, 400)
      assert.equal((await verify(['Basic YTpi', `Bearer ${token}`], '/any/1', client)).status, 400)
      for (const text of [
        `Bearer ${token}, Bearer ${token}`,
        `Bearer ${token} x`,
        'Bearer',
        'Bearer ',
        `Bearer\t${token}`,
      ])
        assert.ok([401, 200].includes((await verify(text, '/any/1', client)).status), JSON.stringify(text.slice(0, 12)))
      assert.equal((await verify(`Bearer ${token}, Bearer ${token}`, '/any/1', client)).status, 401)
      assert.equal((await verify('Bearer', '/any/1', client)).status, 401)
    }
  })

  test('counts for nothing where the route names no issuer: the session does, and no bearer goes upstream', async () => {
    const token = await at()
    assert.equal((await verify(`Bearer ${token}`, '/plain/1')).status, 401)
    const res = await verify(`Bearer ${token}`, '/plain/1', alice)
    assert.deepEqual([res.status, res.headers.get('x-user-id'), res.headers.get('authorization')], [200, 'alice', null])
  })

  test('a good one beside a cookie: the machine asks, whatever the cookie says, and no CSRF token is wanted', async () => {
    const token = await at()
    for (const cookie of [undefined, 'bff_session=broken', 'bff_session=a; bff_session=b']) {
      const res = await s.verify('/m/1', {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, ...(cookie === undefined ? {} : { cookie }) },
      })
      assert.deepEqual([res.status, res.headers.get('x-user-id')], [200, 'robot'])
    }
    const both = await s.verify('/m/1', {
      method: 'POST',
      client: alice,
      headers: { authorization: `Bearer ${token}`, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
    })
    assert.deepEqual([both.status, both.headers.get('x-user-id'), both.headers.get('cookie')], [200, 'robot', null])
  })
})

test('sign-in strength is the token’s own: acr and auth_time, and nobody is sent to sign in', async () => {
  const now = Math.floor(Date.now() / 1000)
  const navigation = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
  for (const [claims, status] of [
    [{ acr: 'gold', auth_time: now - 10 }, 200],
    [{ acr: 'gold', auth_time: now - 1000 }, 403],
    [{ acr: 'gold' }, 403],
    [{ acr: ['gold'], auth_time: now }, 403],
    [{ acr: 'bronze', auth_time: now }, 403],
    [{ acr: 'gold', auth_time: String(now) }, 403],
  ] as const) {
    const res = await s.verify('/strong/1', { headers: { authorization: `Bearer ${await at(claims)}`, ...navigation } })
    assert.equal(res.status, status, JSON.stringify(claims))
  }
})

test('over the proxy’s own door a token of another scheme or none is a session’s matter', async () => {
  const res = await send(`${s.url}/any/1`, { headers: { host: PUBLIC_HOST, authorization: 'DPoP x' } })
  assert.equal(code(res), 'NO_SESSION')
})
