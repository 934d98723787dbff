import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { startBadProvider, type BadProvider, type SignOptions } from '../provider/bad-provider.ts'
import type { Client } from '../support/client.ts'
import { movableClock } from '../support/clock.ts'
import { ORDERS, startService, type Service } from '../support/service.ts'

let idp: BadProvider
let s: Service
const clock = movableClock()
before(async () => {
  idp = await startBadProvider()
  idp.metadata['authorization_response_iss_parameter_supported'] = true
  s = await startService({
    issuer: idp.issuer,
    clock,
    settings: (base) => {
      base['service_tokens'] = { orders: { audience: ORDERS, scopes: ['api.read'] } }
      base['identity_headers'] = { map: { 'X-Title': 'title', 'X-Teams': 'teams' } }
    },
    routes: (r) => {
      r.routes.push({ id: 'admin', path: '/orders/admin/*', target_service: 'orders', require: { groups: ['admins'] } })
    },
  })
})
after(async () => {
  await s.stop()
  await idp.close()
})
beforeEach(() => clock.reset())

const code = (res: Response): string | null => res.headers.get('x-bff-error')
const redeemed = (): number => idp.forms().length

/** Begins a sign-in; the provider will answer with an id token of these claims. */
async function begin(
  client: Client,
  claims: Record<string, unknown> = {},
  sign: SignOptions = {},
  more: Record<string, unknown> = {},
): Promise<URLSearchParams> {
  const at = new URL((await client.page('/auth/login')).headers.get('location') ?? '')
  const nonce = at.searchParams.get('nonce') ?? ''
  idp.on.set('/token', () => ({
    json: {
      access_token: idp.accessToken({ aud: ORDERS, scope: 'api.read' }),
      token_type: 'Bearer',
      expires_in: 300,
      refresh_token: 'rt',
      id_token: idp.idToken({ nonce, ...claims }, sign),
      ...more,
    },
  }))
  return new URLSearchParams({ code: 'c', state: at.searchParams.get('state') ?? '', iss: idp.issuer })
}
const finish = (client: Client, query: URLSearchParams): Promise<Response> =>
  client.page(`/auth/callback?${query.toString()}`)

async function signIn(claims: Record<string, unknown>): Promise<Client> {
  const client = s.client()
  const res = await finish(client, await begin(client, claims))
  assert.equal(res.status, 302, await res.text())
  return client
}

describe('a callback redeems no code', () => {
  const refused = async (client: Client, query: URLSearchParams, wanted: string): Promise<void> => {
    const before = redeemed()
    const res = await finish(client, query)
    assert.deepEqual([res.status, code(res)], [400, wanted])
    assert.equal(redeemed(), before)
    assert.equal(client.cookies.has('bff_session'), false)
  }

  test('with a state that is missing, foreign, doubled or replayed', async () => {
    const client = s.client()
    const good = await begin(client)
    await refused(client, new URLSearchParams({ code: 'c', iss: idp.issuer }), 'LOGIN_UNKNOWN')
    await refused(s.client(), good, 'LOGIN_UNKNOWN')
    await refused(client, await begin(s.client()), 'LOGIN_UNKNOWN')
    const doubled = new URLSearchParams([...good, ['state', good.get('state') ?? '']])
    await refused(client, doubled, 'LOGIN_UNKNOWN')
    const jar = new Map(client.cookies)
    // Whose nonce the provider answers with is the last begun: again, so that this one finishes.
    const own = await begin(client)
    for (const [name, cookie] of client.cookies) jar.set(name, cookie)
    assert.equal((await finish(client, own)).status, 302)
    const thief = s.client()
    for (const [name, cookie] of jar) if (name !== 'bff_session') thief.cookies.set(name, cookie)
    await refused(thief, own, 'LOGIN_REPLAYED')
  })

  test('with the iss of another provider, or with none although it is announced (RFC 9207, mix-up, CVE-2023-35941)', async () => {
    for (const iss of ['https://evil.example', `${idp.issuer}/`, undefined]) {
      const client = s.client()
      const query = await begin(client)
      if (iss === undefined) query.delete('iss')
      else query.set('iss', iss)
      await refused(client, query, 'LOGIN_ISSUER_MISMATCH')
    }
  })

  test('when it brings an error, and the error is shown as text (CVE-2021-32702, CVE-2026-33525, CVE-2026-42849)', async () => {
    const client = s.client()
    const query = await begin(client)
    query.delete('code')
    query.set('error', '<script>alert(1)</script>')
    query.set('error_description', '<img src=x onerror=alert(1)>')
    const before = redeemed()
    const res = await finish(client, query)
    assert.equal(code(res), 'PROVIDER_ERROR')
    assert.doesNotMatch(await res.text(), /<script|<img/)
    assert.equal(redeemed(), before)
  })
})

describe('an id token opens no session', () => {
  for (const [what, claims, sign] of [
    ['alg none', {}, { alg: 'none' }],
    ['HS256 with the public key as its secret', {}, { alg: 'HS256' }],
    ['the signature of another key', {}, { alg: 'forged' }],
    ['another iss (CVE-2026-22748)', { iss: 'https://evil.example' }, {}],
    ['another aud', { aud: 'somebody-else' }, {}],
    ['an azp that is not us', { azp: 'somebody-else' }, {}],
    ['several audiences and no azp', { aud: ['bff-server', 'somebody-else'] }, {}],
    ['another nonce', { nonce: 'n' }, {}],
    ['no nonce', { nonce: undefined }, {}],
    ['an end in the past', { exp: 1 }, {}],
    ['no sub', { sub: undefined }, {}],
  ] as readonly (readonly [string, Record<string, unknown>, SignOptions])[])
    test(`with ${what}`, async () => {
      const client = s.client()
      const res = await finish(client, await begin(client, claims, sign))
      assert.equal(res.headers.get('location'), null)
      assert.equal(code(res), 'LOGIN_FAILED')
      assert.equal(client.cookies.has('bff_session'), false)
    })
})

describe('a claim that becomes a header', () => {
  test('does not when it holds CR, LF, NUL or another control, and splits no list', async () => {
    for (const bad of [
      'x\r\nX-User-Groups: admins',
      'x\nSet-Cookie: a=b',
      'x\0',
      'x\x7f',
      'x\u0085y',
      'x\u2028y\ud800',
    ]) {
      const client = await signIn({
        title: bad,
        name: bad,
        teams: ['a', bad, 'b,admins'],
        groups: ['staff', 'x,admins', bad],
        email: bad,
      })
      const res = await s.verify('/plain/1', { client })
      assert.equal(res.status, 200)
      assert.equal(res.headers.get('x-user-groups'), 'staff')
      assert.equal(res.headers.get('x-teams'), 'a')
      for (const name of ['x-title', 'x-user-name', 'x-user-email', 'set-cookie'])
        assert.equal(res.headers.get(name), null, JSON.stringify(bad))
      assert.equal((await s.verify('/orders/admin/1', { client })).status, 403)
    }
  })

  test('is no e-mail address where the provider has not verified it', async () => {
    for (const [email_verified, wanted] of [
      [false, null],
      ['false', null],
      [true, 'a@example.com'],
    ] as const) {
      const client = await signIn({ email: 'a@example.com', email_verified })
      assert.equal((await s.verify('/plain/1', { client })).headers.get('x-user-email'), wanted)
    }
  })
})

test('an answer that grants no scope is not read as one that grants all that was asked (CVE-2022-31690)', async () => {
  const client = s.client()
  const more = { scope: '', access_token: idp.accessToken({ aud: ORDERS }) }
  assert.equal((await finish(client, await begin(client, {}, {}, more))).status, 302)
  const answer = { access_token: more.access_token, token_type: 'Bearer', expires_in: 300, scope: '' }
  idp.on.set('/token', () => ({ json: answer }))
  const res = await s.verify('/orders/1', { client })
  assert.deepEqual([res.status, code(res)], [401, 'NO_TOKEN_AVAILABLE'])
})

test('a group that a refresh takes away opens nothing any more (CVE-2021-41230)', async () => {
  const client = await signIn({ groups: ['admins'] })
  assert.equal((await s.verify('/orders/admin/1', { client })).status, 200)
  idp.on.set('/token', () => ({
    json: {
      access_token: idp.accessToken({ aud: ORDERS, scope: 'api.read', exp: Math.floor(clock.wallMs() / 1000) + 300 }),
      token_type: 'Bearer',
      expires_in: 300,
      refresh_token: 'rt-2',
      id_token: idp.idToken({
        nonce: undefined,
        groups: ['staff'],
        iat: Math.floor(clock.wallMs() / 1000),
        exp: Math.floor(clock.wallMs() / 1000) + 300,
      }),
    },
  }))
  clock.jump(400_000)
  assert.equal((await s.verify('/orders/1', { client })).status, 200)
  const res = await s.verify('/orders/admin/1', { client })
  assert.deepEqual([res.status, code(res)], [403, 'FORBIDDEN'])
})

test('a token that was good for one route is judged anew for the next (GHSA-qvp4-rpmr-xwrr, CVE-2026-33496)', async () => {
  const client = await signIn({ groups: ['staff'] })
  for (let i = 0; i < 3; i++) {
    assert.equal((await s.verify('/orders/1', { client })).status, 200)
    assert.equal((await s.verify('/orders/admin/1', { client })).status, 403)
  }
})

describe('a logout token ends nothing', () => {
  const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  let n = 0
  const tell = (claims: Record<string, unknown> = {}, o: SignOptions = {}): Promise<Response> => {
    const now = Math.floor(Date.now() / 1000)
    const all = {
      iss: idp.issuer,
      aud: 'bff-server',
      sub: 'alice',
      iat: now,
      exp: now + 120,
      jti: `j${n++}`,
      events: EVENTS,
      ...claims,
    }
    const logout_token = idp.sign(all, { ...o, header: { typ: 'logout+jwt', ...o.header } })
    return s.client().post('/auth/backchannel-logout', new URLSearchParams({ logout_token }).toString())
  }

  for (const [what, claims, sign] of [
    ['with a nonce', { nonce: 'n' }, {}],
    ['without events', { events: undefined }, {}],
    ['with events of another kind', { events: {} }, {}],
    ['of another typ', {}, { header: { typ: 'at+jwt' } }],
    ['with alg none', {}, { alg: 'none' }],
    ['with HS256', {}, { alg: 'HS256' }],
    ['of another key', {}, { alg: 'forged' }],
    ['for another client', { aud: 'somebody-else' }, {}],
    ['of another provider', { iss: 'https://evil.example' }, {}],
    ['without a jti', { jti: undefined }, {}],
  ] as readonly (readonly [string, Record<string, unknown>, SignOptions])[])
    test(what, async () => {
      const client = await signIn({})
      assert.equal((await tell(claims, sign)).status, 400)
      assert.equal((await client.get('/api/auth/session')).status, 200)
    })

  test('a second time', async () => {
    const first = await signIn({})
    assert.equal((await tell({ jti: 'once' })).status, 200)
    assert.equal((await first.get('/api/auth/session')).status, 401)
    const second = await signIn({})
    assert.equal((await tell({ jti: 'once' })).status, 400)
    assert.equal((await second.get('/api/auth/session')).status, 200)
  })
})
