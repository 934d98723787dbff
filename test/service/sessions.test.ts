import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { Client } from '../support/client.ts'
import { movableClock } from '../support/clock.ts'
import { ORIGIN, startService, type Service } from '../support/service.ts'

const code = (res: Response): string | null => res.headers.get('x-bff-error')
const json = async (res: Response): Promise<Record<string, unknown>> => (await res.json()) as Record<string, unknown>
const csrf = async (c: Client): Promise<string> => String((await json(await c.get('/auth/csrf')))['csrf_token'])
const MINUTE = 60_000

describe('time', () => {
  const clock = movableClock()
  let s: Service
  before(async () => {
    s = await startService({
      clock,
      settings: (base) => {
        Object.assign(base.session, { idle_timeout: '30m', absolute_timeout: '2h' })
      },
    })
  })
  after(() => s.stop())
  beforeEach(() => clock.reset())

  test('a sign-in that took more than ten minutes is refused before the code is redeemed', async () => {
    const client = s.client()
    const begun = await client.page('/auth/login')
    const back = await s.provider.signIn(new URL(begun.headers.get('location') ?? ''))
    clock.jump(11 * MINUTE)
    const res = await client.page(back.pathname + back.search)
    clock.jump(-11 * MINUTE)
    assert.deepEqual([res.status, code(res)], [400, 'LOGIN_EXPIRED'])
    assert.match(await res.text(), /href="\/auth\/login/)
  })

  test('a session that nobody used ends, and a request keeps it alive where asking for its status does not', async () => {
    const [used, asked] = [await s.signIn(), await s.signIn()]
    for (let i = 0; i < 3; i++) {
      clock.jump(20 * MINUTE)
      assert.equal((await s.verify('/plain/1', { client: used })).status, 200)
      if (i === 0) assert.equal((await asked.get('/api/auth/session')).status, 200)
    }
    const gone = await s.verify('/plain/1', { client: asked })
    assert.deepEqual([gone.status, code(gone)], [401, 'SESSION_EXPIRED'])
    await s.waitForLog((l) => l['msg'] === 'session_ended reason=idle_timeout')
    const again = await s.verify('/plain/1', { client: asked })
    assert.deepEqual([again.status, code(again)], [401, 'SESSION_EXPIRED'], 'and says so as long as anybody asks')
  })

  test('signing out of a session whose time is over is success, with a token or without', async () => {
    const [without, with_] = [await s.signIn(), await s.signIn()]
    const token = await csrf(with_)
    clock.jump(31 * MINUTE)
    for (const [client, body] of [
      [without, ''],
      [with_, `csrf_token=${token}`],
    ] as const) {
      assert.equal((await client.post('/auth/logout', body)).status, 200)
      assert.ok(!client.cookies.has('bff_session'))
    }
    await s.waitForLog((l) => l['msg'] === 'session_ended reason=idle_timeout')
  })

  test('a session ends at its absolute time however busy it is', async () => {
    const client = await s.signIn()
    for (let i = 0; i < 5; i++) {
      clock.jump(25 * MINUTE)
      if (i < 4) assert.equal((await s.verify('/plain/1', { client })).status, 200)
    }
    const gone = await s.verify('/plain/1', { client })
    assert.deepEqual([gone.status, code(gone)], [401, 'SESSION_EXPIRED'])
  })

  test('the idle time is written at most once a minute, and the cookie is never written again', async () => {
    const client = await s.signIn()
    const ends = async (): Promise<unknown> => (await json(await client.get('/api/auth/session')))['idle_expires_at']
    const first = await ends()
    clock.jump(MINUTE / 2)
    await s.verify('/plain/1', { client })
    assert.equal(await ends(), first)
    clock.jump(MINUTE)
    const res = await s.verify('/plain/1', { client })
    assert.notEqual(await ends(), first)
    assert.deepEqual(res.headers.getSetCookie(), [])
  })
})

describe('the status of a session', () => {
  let s: Service
  before(async () => {
    s = await startService()
  })
  after(() => s.stop())

  test('R1 R11 tells the SPA who it is, how long, which services have a token, and the CSRF token', async () => {
    const client = await s.signIn()
    const status = await json(await client.get('/api/auth/session'))
    assert.deepEqual(Object.keys(status).sort(), [
      'authenticated',
      'csrf_token',
      'email',
      'expires_at',
      'idle_expires_at',
      'name',
      'services',
      'sub',
    ])
    assert.equal(status['authenticated'], true)
    assert.deepEqual(status['services'], ['orders', 'billing'])
    const anonymous = await s.client().get('/api/auth/session')
    assert.deepEqual([anonymous.status, code(anonymous)], [401, 'NO_SESSION'])
    assert.deepEqual(await json(anonymous), { authenticated: false, login_url: '/auth/login' })
  })

  test('the CSRF token comes with a readable, host-only cookie, and differs each time', async () => {
    const client = await s.signIn()
    const res = await client.get('/auth/csrf')
    const line = res.headers.getSetCookie().find((l) => l.startsWith('_csrf_token=')) ?? ''
    assert.doesNotMatch(line, /HttpOnly|Domain/)
    assert.match(line, /SameSite=Lax/)
    assert.notEqual(await csrf(client), await csrf(client))
    assert.equal((await s.client().get('/auth/csrf')).status, 401)
  })

  test('answers that say who somebody is are kept by no cache', async () => {
    const client = await s.signIn()
    for (const path of ['/api/auth/session', '/auth/csrf', '/auth/logout', '/auth/login?prompt=login']) {
      assert.match((await client.get(path)).headers.get('cache-control') ?? '', /no-store/, path)
    }
  })
})

describe('signing out', () => {
  let s: Service
  before(async () => {
    s = await startService()
  })
  after(() => s.stop())

  test('wants the CSRF token of this session: from the header or from a form', async () => {
    const client = await s.signIn()
    for (const attempt of [
      client.post('/auth/logout', ''),
      client.post('/auth/logout', 'csrf_token=x'),
      client.post('/auth/logout', '', { 'x-csrf-token': await csrf(await s.signIn()) }),
    ]) {
      const res = await attempt
      assert.deepEqual([res.status, code(res)], [403, 'CSRF_FAILED'])
    }
    assert.equal(
      (
        await client.post('/auth/logout', '', {
          'x-csrf-token': await csrf(client),
          origin: 'https://evil.example.com',
        })
      ).status,
      403,
    )
    assert.equal((await client.get('/api/auth/session')).status, 200)
    assert.equal((await client.get('/auth/logout')).status, 200, 'a link only shows a page')
    assert.equal((await client.get('/api/auth/session')).status, 200)
  })

  test('a program gets the address to go to, a form is sent there; the cookie is gone and worth nothing, and the refresh token revoked', async () => {
    const client = await s.signIn()
    const copy = s.client()
    for (const [name, cookie] of client.cookies) copy.cookies.set(name, cookie)
    assert.equal((await s.verify('/orders/1', { client: copy })).status, 200)
    const res = await client.post('/auth/logout', '', { 'x-csrf-token': await csrf(client) })
    assert.equal(res.status, 200)
    const url = new URL(String((await json(res))['logout_url']))
    assert.equal(url.origin, s.provider.issuer)
    assert.equal(url.searchParams.get('post_logout_redirect_uri'), `${ORIGIN}/auth/logged-out`)
    assert.ok(!url.searchParams.has('id_token_hint'))
    assert.ok(!client.cookies.has('bff_session') && !client.cookies.has('_csrf_token'))
    const replayed = await s.verify('/orders/1', { client: copy })
    assert.deepEqual([replayed.status, code(replayed)], [401, 'NO_SESSION'])
    await s.waitForLog((l) => l['msg'] === 'session_ended reason=logout')

    const person = await s.signIn()
    const form = await person.post('/auth/logout', `csrf_token=${await csrf(person)}`, {
      'sec-fetch-mode': 'navigate',
      origin: ORIGIN,
    })
    assert.equal(form.status, 303)
    assert.equal(new URL(form.headers.get('location') ?? '').origin, s.provider.issuer)
  })

  test('a form of a page that names no origin (helmet’s Referrer-Policy) signs out, and a page goes on to the provider', async () => {
    const client = await s.signIn()
    const form = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', origin: 'null' }
    const body = `csrf_token=${await csrf(client)}`
    for (const site of ['cross-site', 'same-site', undefined]) {
      const res = await client.post('/auth/logout', body, {
        ...form,
        ...(site === undefined ? {} : { 'sec-fetch-site': site }),
      })
      assert.deepEqual([res.status, code(res)], [403, 'CSRF_FAILED'], site ?? 'neither')
    }
    const res = await client.post('/auth/logout', body, { ...form, 'sec-fetch-site': 'same-origin' })
    assert.equal(res.status, 200)
    const url = /http-equiv="refresh" content="0;url=([^"]+)"/.exec(await res.text())?.[1]?.replaceAll('&#38;', '&')
    assert.equal(new URL(url ?? '').origin, s.provider.issuer)
    assert.equal(new URL(url ?? '').searchParams.get('post_logout_redirect_uri'), `${ORIGIN}/auth/logged-out`)
    assert.ok(!client.cookies.has('bff_session'))
  })

  test('without a session it is success', async () => {
    const res = await s.client().post('/auth/logout', '')
    assert.equal(res.status, 200)
    assert.equal((await json(res))['logout_url'], `${ORIGIN}/auth/logged-out`)
    assert.equal((await s.client().page('/auth/logged-out')).status, 200)
  })

  test('return_to leads nowhere (a logout is no open redirect)', async () => {
    const client = await s.signIn()
    const res = await client.post('/auth/logout?return_to=https://evil.example.com', '', {
      'x-csrf-token': await csrf(client),
    })
    assert.ok(!(await res.text()).includes('evil'))
  })

  test('everywhere=true ends every session of the user', async () => {
    const [here, there] = [await s.signIn(), await s.signIn()]
    const res = await here.post('/auth/logout?everywhere=true', '', { 'x-csrf-token': await csrf(here) })
    assert.equal(res.status, 200)
    assert.equal((await there.get('/api/auth/session')).status, 401)
  })

  test('two session cookies: sign-out ends whichever is valid, and sign-in works', async () => {
    const client = await s.signIn()
    const valid = client.cookies.get('bff_session')?.value ?? ''
    const token = await csrf(client)
    const both = { cookie: `bff_session=s%3Aplanted.x; bff_session=${valid}` }
    assert.equal((await s.client().get('/api/auth/session', both)).status, 400)
    assert.equal((await s.client().page('/auth/login', both)).status, 302)
    const res = await s.client().post('/auth/logout', '', { ...both, 'x-csrf-token': token })
    assert.equal(res.status, 200)
    assert.equal((await client.get('/api/auth/session')).status, 401)
  })
})

describe('R20 one registration per environment', () => {
  test('a sign-in begun in one environment never ends in another, though both share a secret', async () => {
    const production = await startService()
    const staging = await startService({
      settings: (base) => {
        base.auth['client_id'] = 'bff-staging'
      },
    })
    try {
      const begun = production.client()
      const start = await begun.page('/auth/login')
      const back = await production.provider.signIn(new URL(start.headers.get('location') ?? ''))
      const elsewhere = staging.client()
      for (const [name, cookie] of begun.cookies) elsewhere.cookies.set(name, cookie)
      const res = await elsewhere.page(back.pathname + back.search)
      assert.deepEqual([res.status, code(res)], [400, 'LOGIN_UNKNOWN'])
      assert.match(await res.text(), /another\s+environment/)
    } finally {
      await production.stop()
      await staging.stop()
    }
  })

  test('a host-only session of one host says nothing on another host of ours', async () => {
    const s = await startService({
      settings: (base) => {
        delete base.server['public_url']
        base.server['public_urls'] = [ORIGIN, 'http://other.localhost:8000']
      },
    })
    try {
      const client = await s.signIn()
      assert.equal((await client.get('/api/auth/session')).status, 200)
      const other = s.client('other.localhost:8000')
      for (const [name, cookie] of client.cookies) other.cookies.set(name, cookie)
      assert.equal((await other.get('/api/auth/session')).status, 401)
      const res = await s.verify('/plain/1', { client, headers: { 'x-forwarded-host': 'other.localhost:8000' } })
      assert.deepEqual([res.status, code(res)], [401, 'NO_SESSION'])
    } finally {
      await s.stop()
    }
  })
})
