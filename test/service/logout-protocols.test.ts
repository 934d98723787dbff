import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { after, before, beforeEach, describe, test } from 'node:test'
import { SignJWT, UnsecuredJWT } from 'jose'
import { createClient } from 'redis'
import { startRedis, type Redis } from '../../demo/launcher/index.ts'
import type { Client } from '../support/client.ts'
import { movableClock } from '../support/clock.ts'
import { LOGOUT_EVENT, startInstantProvider, type InstantProvider } from '../support/instant-provider.ts'
import { ORIGIN, startService, type Service } from '../support/service.ts'

const code = (res: Response): string | null => res.headers.get('x-bff-error')
const signedIn = async (c: Client): Promise<boolean> => (await c.get('/api/auth/session')).status === 200
const csrf = async (c: Client): Promise<string> =>
  ((await (await c.get('/auth/csrf')).json()) as { csrf_token: string }).csrf_token

describe('OpenID Connect logout, by the letter', () => {
  let idp: InstantProvider
  let s: Service
  before(async () => {
    idp = await startInstantProvider()
    idp.metadata = { end_session_endpoint: `${idp.issuer}/end-session` }
    idp.tokenAnswer = { refresh_token: 'a-refresh-token' }
    s = await startService({
      issuer: idp.issuer,
      settings: (base) => {
        base.auth['frontchannel_logout'] = true
      },
    })
  })
  after(async () => {
    await s.stop()
    idp.close()
  })
  beforeEach(() => {
    idp.idClaims = {}
    idp.beforeToken = () => Promise.resolve()
  })
  const tell = (token: string): Promise<Response> =>
    s.client().post('/auth/backchannel-logout', new URLSearchParams({ logout_token: token }).toString())
  const frame = (query: Record<string, string>, client = s.client()): Promise<Response> =>
    client.get(`/auth/frontchannel-logout?${new URLSearchParams(query).toString()}`, { 'sec-fetch-dest': 'iframe' })

  test('back-channel: no algorithm, a shared-secret algorithm, missing claims and an id token are no logout token', async () => {
    const client = await idp.signIn(s.client())
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: idp.issuer, aud: 'bff-server', sub: 'alice', iat: now, exp: now + 100, events: LOGOUT_EVENT }
    const secret = createSecretKey(Buffer.from('demo-only-client-secret'))
    const bad: readonly string[] = [
      new UnsecuredJWT({ ...claims, jti: 'a' }).encode(),
      await new SignJWT({ ...claims, jti: 'b' }).setProtectedHeader({ alg: 'HS256', typ: 'logout+jwt' }).sign(secret),
      await idp.sign({ nonce: 'n', sid: 'the-sid' }, { typ: 'JWT' }),
      await idp.sign({ events: { 'http://schemas.openid.net/event/other': {} } }),
      await idp.sign({ events: LOGOUT_EVENT, iat: undefined }),
      await idp.sign({ events: LOGOUT_EVENT, exp: undefined }),
      await idp.sign({ events: LOGOUT_EVENT, iss: undefined }),
      await idp.sign({ events: LOGOUT_EVENT, aud: undefined }),
      await idp.sign({ events: LOGOUT_EVENT, aud: ['somebody', 'else'] }),
      await idp.sign({ events: LOGOUT_EVENT, sub: 7 }),
      await idp.sign({ events: LOGOUT_EVENT, iat: now + 3600, exp: now + 3700 }),
    ]
    for (const [i, token] of bad.entries()) {
      const res = await tell(token)
      assert.deepEqual([res.status, res.headers.get('cache-control')], [400, 'no-store'], `number ${i}`)
    }
    const good = await idp.sign({ events: LOGOUT_EVENT, aud: ['bff-server', 'another'] })
    assert.equal((await s.client().get(`/auth/backchannel-logout?logout_token=${good}`)).status, 404)
    const inQuery = await s.client().post(`/auth/backchannel-logout?logout_token=${good}`, '')
    assert.equal(inQuery.status, 400)
    assert.equal(await signedIn(client), true)
    assert.equal((await tell(good)).status, 200)
    assert.equal(await signedIn(client), false)
  })

  test('back-channel: a logout that overtakes a sign-in on its way back opens no session, and the next sign-in works', async () => {
    const client = s.client()
    idp.beforeToken = async () => {
      idp.beforeToken = () => Promise.resolve()
      assert.equal((await tell(await idp.sign({ events: LOGOUT_EVENT, sid: 'the-sid', sub: undefined }))).status, 200)
    }
    idp.idClaims = { auth_time: Math.floor(Date.now() / 1000) - 60 }
    const back = await client.page(await idp.begin(client))
    assert.deepEqual([back.status, code(back)], [400, 'LOGIN_EXPIRED'])
    assert.equal(await signedIn(client), false)
    assert.equal(await signedIn(await idp.signIn(client)), true)
  })

  test('a sign-out at the provider carries state, which the way back must bring again', async () => {
    const client = await idp.signIn(s.client())
    const out = await client.post('/auth/logout', `csrf_token=${await csrf(client)}`, {
      origin: ORIGIN,
      'sec-fetch-mode': 'navigate',
    })
    const url = new URL(out.headers.get('location') ?? '')
    assert.equal(out.status, 303)
    assert.equal(url.searchParams.get('client_id'), 'bff-server')
    assert.equal(url.searchParams.get('post_logout_redirect_uri'), `${ORIGIN}/auth/logged-out`)
    assert.equal(url.searchParams.has('id_token_hint'), false)
    const state = url.searchParams.get('state') ?? ''
    assert.match(state, /^[\w-]{22}$/)
    const other = await client.page('/auth/logged-out?state=somebody-elses')
    assert.deepEqual([other.status, code(other)], [400, 'LOGOUT_STATE_MISMATCH'])
    assert.match(await other.text(), /not the sign-out/)
    const twice = await client.page(`/auth/logged-out?state=${state}&state=${state}`)
    assert.equal(twice.status, 400)
    assert.equal((await client.page(`/auth/logged-out?state=${state}`)).status, 200)
    const replayed = await client.page(`/auth/logged-out?state=${state}`)
    assert.equal(replayed.status, 400, 'once')
    assert.equal((await s.client().page('/auth/logged-out')).status, 200, 'and without state it is for anybody')
  })

  test('front-channel: ends every session of an iss and sid that both match, and nothing for anything else', async () => {
    const [one, two] = [await idp.signIn(s.client()), await idp.signIn(s.client())]
    for (const query of [{ iss: idp.issuer }, { sid: 'the-sid' }, { iss: idp.issuer, sid: '' }] as Record<
      string,
      string
    >[])
      assert.equal((await frame(query)).status, 400)
    assert.equal(
      (await s.client().get(`/auth/frontchannel-logout?iss=${idp.issuer}&sid=the-sid&sid=the-sid`)).status,
      400,
    )
    assert.equal((await frame({ iss: 'https://evil.example.com', sid: 'the-sid' })).status, 200)
    assert.equal((await frame({ iss: idp.issuer, sid: 'another' })).status, 200)
    assert.deepEqual([await signedIn(one), await signedIn(two)], [true, true])
    const res = await frame({ iss: idp.issuer, sid: 'the-sid' }, one)
    assert.equal(res.status, 200)
    assert.match(res.headers.get('cache-control') ?? '', /no-store/)
    assert.equal(res.headers.get('x-frame-options'), null)
    assert.match(res.headers.get('content-security-policy') ?? '', new RegExp(`frame-ancestors ${idp.issuer}$`))
    assert.match(res.headers.getSetCookie().join('\n'), /^bff_session=;/m)
    assert.deepEqual([await signedIn(one), await signedIn(two)], [false, false])
    await s.waitForLog((l) => l['msg'] === 'session_ended reason=frontchannel_logout')
  })

  test('front-channel is off unless asked for', async () => {
    const off = await startService({ issuer: idp.issuer })
    try {
      assert.equal((await off.client().get(`/auth/frontchannel-logout?iss=${idp.issuer}&sid=x`)).status, 404)
    } finally {
      await off.stop()
    }
  })

  test('what the provider gave is given back, whichever way the session ended', async () => {
    const revokedAfter = async (end: (c: Client) => Promise<unknown>): Promise<number> => {
      const before = idp.revoked.length
      const client = await idp.signIn(s.client())
      await end(client)
      for (let i = 0; i < 200 && idp.revoked.length === before; i++) await new Promise((r) => setImmediate(r))
      await s.waitForLog(() => idp.revoked.length > before)
      return idp.revoked.length - before
    }
    assert.equal(await revokedAfter(async () => tell(await idp.sign({ events: LOGOUT_EVENT }))), 1)
    assert.equal(await revokedAfter(() => frame({ iss: idp.issuer, sid: 'the-sid' })), 1)
    assert.equal(await revokedAfter(async (c) => c.post('/auth/logout', `csrf_token=${await csrf(c)}`)), 1)
    assert.equal(
      await revokedAfter(async (c) => c.post('/auth/logout?everywhere=true', `csrf_token=${await csrf(c)}`)),
      1,
    )
  })
})

test('a provider that goes away ends a session here all the same', async () => {
  const idp = await startInstantProvider()
  const s = await startService({ issuer: idp.issuer })
  try {
    const client = await idp.signIn(s.client())
    const token = await csrf(client)
    idp.close()
    const out = await client.post('/auth/logout', `csrf_token=${token}`)
    assert.equal(out.status, 200)
    assert.deepEqual(await out.json(), { logout_url: `${ORIGIN}/auth/logged-out` })
    assert.equal(await signedIn(client), false)
  } finally {
    await s.stop()
    idp.close()
  }
})

describe('the store fails in the middle of a back-channel logout', () => {
  let idp: InstantProvider
  let redis: Redis
  let s: Service
  before(async () => {
    ;[idp, redis] = await Promise.all([startInstantProvider(), startRedis()])
    s = await startService({ issuer: idp.issuer, store: redis.url })
  })
  after(async () => {
    await s.stop()
    await redis.stop()
    idp.close()
  })

  test('because it is full: the sessions end, and the provider is told to say it again', async () => {
    const client = await idp.signIn(s.client())
    const operator = createClient({ url: redis.url })
    await operator.connect()
    const token = await idp.sign({ events: LOGOUT_EVENT })
    const tell = (): Promise<Response> =>
      s.client().post('/auth/backchannel-logout', new URLSearchParams({ logout_token: token }).toString())
    try {
      await operator.configSet('maxmemory', '1')
      const full = await tell()
      assert.deepEqual([full.status, code(full)], [503, 'STORE_UNAVAILABLE'])
      assert.equal(await signedIn(client), false)
      await operator.configSet('maxmemory', '0')
      assert.equal((await tell()).status, 200)
    } finally {
      operator.destroy()
    }
  })

  test('and the provider, which tries again with the same token, is no replay', async () => {
    const client = await idp.signIn(s.client())
    const operator = createClient({ url: redis.url })
    await operator.connect()
    const token = await idp.sign({ events: LOGOUT_EVENT })
    const tell = (): Promise<Response> =>
      s.client().post('/auth/backchannel-logout', new URLSearchParams({ logout_token: token }).toString())
    try {
      await operator.sendCommand(['ACL', 'SETUSER', 'default', '-eval'])
      const failed = await tell()
      assert.deepEqual([failed.status, code(failed)], [503, 'STORE_UNAVAILABLE'])
      await operator.sendCommand(['ACL', 'SETUSER', 'default', '+eval'])
      assert.equal((await tell()).status, 200)
      assert.equal(await signedIn(client), false)
      assert.equal((await tell()).status, 400, 'and after that it is one')
    } finally {
      operator.destroy()
    }
  })
})

describe('session.follow_id_token', () => {
  const clock = movableClock()
  let idp: InstantProvider
  let s: Service
  before(async () => {
    idp = await startInstantProvider()
    idp.tokenAnswer = { refresh_token: 'r', expires_in: 60 }
    s = await startService({
      issuer: idp.issuer,
      clock,
      settings: (base) => {
        Object.assign(base.session, { follow_id_token: true, idle_timeout: '2h', absolute_timeout: '12h' })
        base.tokens['audience_parameter'] = 'none'
        base['service_tokens'] = { orders: { audience: 'https://analytics.example.com', trust_opaque: true } }
      },
    })
  })
  after(async () => {
    await s.stop()
    idp.close()
  })
  const expiry = async (c: Client): Promise<number> =>
    Date.parse(((await (await c.get('/api/auth/session')).json()) as { expires_at: string }).expires_at)

  test('a session ends with its id token, and a refresh that brings a new one moves it on', async () => {
    const now = Math.floor(Date.now() / 1000)
    idp.idClaims = { exp: now + 600 }
    const client = await idp.signIn(s.client())
    assert.equal(await expiry(client), (now + 600) * 1000)
    idp.idClaims = { exp: now + 1200, nonce: undefined }
    clock.jump(300_000)
    assert.equal((await s.verify('/orders/1', { client })).status, 200)
    assert.equal(await expiry(client), (now + 1200) * 1000)
    clock.jump(600_000)
    assert.equal((await s.verify('/plain/1', { client })).status, 200, 'past the first, before the second')
    clock.jump(600_000)
    const gone = await s.verify('/plain/1', { client })
    assert.deepEqual([gone.status, code(gone)], [401, 'SESSION_EXPIRED'])
    await s.waitForLog((l) => l['msg'] === 'session_ended reason=absolute_timeout')
  })
})
