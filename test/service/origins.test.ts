import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Client } from '../support/client.ts'
import { startService, type Service } from '../support/service.ts'

const LOGIN = 'http://login.apps.localhost:8000'
const ONE = 'http://one.apps.localhost:8000'
const TWO = 'http://two.apps.localhost:8000'
const hostOf = (origin: string): string => new URL(origin).host
const code = (res: Response): string | null => res.headers.get('x-bff-error')
const location = (res: Response): URL => new URL(res.headers.get('location') ?? 'none:')
const json = async (res: Response): Promise<Record<string, unknown>> => (await res.json()) as Record<string, unknown>

/** A check for another public host. */
const verifyAt = (s: Service, origin: string, uri: string, client?: Client, headers = {}): Promise<Response> =>
  s.verify(uri, {
    ...(client === undefined ? {} : { client }),
    headers: { 'x-forwarded-host': hostOf(origin), ...headers },
  })
const NAVIGATION = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }

/** The same browser at another host: a cookie with a Domain comes along, a host-only one stays. */
function elsewhere(s: Service, from: Client, origin: string): Client {
  const client = s.client(hostOf(origin))
  for (const [name, c] of from.cookies) if (/;\s*domain=/i.test(c.line)) client.cookies.set(name, c)
  return client
}

describe('R6 many hosts and one login host', () => {
  let s: Service
  before(async () => {
    s = await startService({
      registered: [LOGIN],
      settings: (base) => {
        delete base.server['public_url']
        Object.assign(base.server, { public_urls: ['http://*.apps.localhost:8000'], login_url: LOGIN })
        Object.assign(base.session, { cookie_domain: 'apps.localhost' })
      },
      routes: ({ routes }) => {
        routes.push(
          { id: 'two-only', path: '/two/*', host: 'two.apps.localhost' },
          { id: 'any', path: '/two/*', host: '*.apps.localhost', auth: 'deny' },
        )
      },
    })
  })
  after(() => s.stop())

  test('R6 every way in leads to the login host, with an absolute way back to where it was asked', async () => {
    const nav = location(await verifyAt(s, ONE, '/plain/1?a=b', undefined, NAVIGATION))
    assert.equal(nav.origin + nav.pathname, `${LOGIN}/auth/login`)
    assert.equal(nav.searchParams.get('return_to'), `${ONE}/plain/1?a=b`)
    const program = await json(await verifyAt(s, ONE, '/plain/1'))
    const status = await json(await s.client(hostOf(ONE)).get('/api/auth/session'))
    for (const url of [program['login_url'], status['login_url']])
      assert.equal(url, `${LOGIN}/auth/login?return_to=${encodeURIComponent(`${ONE}/`)}`)
  })

  test('R6 a login asked on another host hops to the login host with return_to and parameters, and sets nothing here', async () => {
    const res = await s.client(hostOf(ONE)).page('/auth/login?return_to=/deep?x=1&prompt=login&login_hint=alice&evil=1')
    const to = location(res)
    assert.equal(to.origin + to.pathname, `${LOGIN}/auth/login`)
    assert.deepEqual(Object.fromEntries(to.searchParams), {
      prompt: 'login',
      login_hint: 'alice',
      return_to: `${ONE}/deep?x=1`,
    })
    assert.deepEqual(res.headers.getSetCookie(), [])
    const evil = location(await s.client(hostOf(ONE)).page('/auth/login?return_to=https://evil.example/'))
    assert.equal(evil.searchParams.get('return_to'), `${ONE}/`)
    const back = location(await s.client(hostOf(LOGIN)).page(`/auth/login?return_to=${encodeURIComponent(`${TWO}/x`)}`))
    assert.equal(back.searchParams.get('redirect_uri'), `${LOGIN}/auth/callback`)
  })

  test('R6 one sign-in counts on every host, with a CSRF token for each, and a sign-out on any of them ends it on all', async () => {
    const login = await s.signIn(s.client(hostOf(LOGIN)), `/auth/login?return_to=${encodeURIComponent(`${TWO}/x`)}`)
    const cookie = login.lines.find((l) => l.startsWith('bff_session='))
    assert.match(cookie ?? '', /Domain=apps\.localhost/)
    assert.doesNotMatch(login.lines.find((l) => l.startsWith('_csrf_token=')) ?? '', /domain/i)
    const [one, two] = [elsewhere(s, login, ONE), elsewhere(s, login, TWO)]
    for (const [origin, client] of [
      [ONE, one],
      [TWO, two],
    ] as const)
      assert.equal((await verifyAt(s, origin, '/plain/1', client)).status, 200)
    const status = await one.get('/api/auth/session')
    const token = String((await json(status))['csrf_token'])
    assert.ok(one.cookies.has('_csrf_token'), 'the readable cookie is of this host now')
    const post = (t: string): Promise<Response> =>
      s.verify('/orders/1', {
        client: one,
        method: 'POST',
        headers: { 'x-forwarded-host': hostOf(ONE), origin: ONE, 'x-csrf-token': t },
      })
    assert.equal((await post(token)).status, 200)
    assert.equal(code(await post('x'.repeat(48))), 'CSRF_FAILED')
    const own = String((await json(await two.get('/auth/csrf')))['csrf_token'])
    const out = await two.post('/auth/logout', `csrf_token=${own}`, NAVIGATION)
    assert.equal(out.status, 303)
    assert.equal(location(out).searchParams.get('post_logout_redirect_uri'), `${LOGIN}/auth/logged-out`)
    for (const [origin, client] of [
      [ONE, one],
      [TWO, elsewhere(s, login, TWO)],
      [LOGIN, login],
    ] as const)
      assert.equal(
        code(await verifyAt(s, origin, '/plain/1', client)),
        'NO_SESSION',
        'a copied cookie is worth nothing after logout',
      )
    const state = location(out).searchParams.get('state') ?? ''
    const bye = await elsewhere(s, two, LOGIN).page(`/auth/logged-out?state=${state}`)
    assert.match(await bye.text(), /href="http:\/\/two\.apps\.localhost:8000\/"/)
    const odd = await s.client(hostOf(LOGIN)).page(`/auth/logged-out?state=${state}`)
    assert.equal(code(odd), 'LOGOUT_STATE_MISMATCH', 'in a browser that did not sign out')
    const evil = s.client(hostOf(LOGIN))
    const planted = `x.${Buffer.from('https://evil.example').toString('base64url')}`
    evil.cookies.set('bff_logout_state', { value: planted, path: '/', line: '' })
    assert.doesNotMatch(await (await evil.page(`/auth/logged-out?state=${planted}`)).text(), /evil/)
  })

  test('a callback that comes to another host than the login host finds nothing there', async () => {
    const begun = s.client(hostOf(LOGIN))
    const back = await s.provider.signIn(location(await begun.page('/auth/login')))
    const stolen = s.client(hostOf(ONE))
    for (const [n, c] of begun.cookies) stolen.cookies.set(n, c)
    const res = await stolen.page(back.pathname + back.search)
    assert.deepEqual([res.status, code(res)], [400, 'LOGIN_UNKNOWN'])
  })

  test('on one path the rule of the host itself holds over the rule of *. of its domain', async () => {
    const login = await s.signIn(s.client(hostOf(LOGIN)))
    assert.equal((await verifyAt(s, TWO, '/two/1', elsewhere(s, login, TWO))).status, 200)
    assert.equal(code(await verifyAt(s, ONE, '/two/1', elsewhere(s, login, ONE))), 'FORBIDDEN')
  })
})

describe('R6 many hosts, each on its own', () => {
  let s: Service
  before(async () => {
    s = await startService({
      registered: [ONE, TWO],
      settings: (base) => {
        delete base.server['public_url']
        base.server['public_urls'] = ['http://*.apps.localhost:8000']
      },
    })
  })
  after(() => s.stop())

  test('a cookie of one host says nothing on another unless cookie_domain says so', async () => {
    const one = await s.signIn(s.client(hostOf(ONE)))
    assert.equal((await verifyAt(s, ONE, '/plain/1', one)).status, 200)
    assert.equal(code(await verifyAt(s, TWO, '/plain/1', one)), 'NO_SESSION')
    const copied = s.client(hostOf(TWO))
    for (const [n, c] of one.cookies) copied.cookies.set(n, c)
    assert.equal((await copied.get('/api/auth/session')).status, 401)
    assert.equal((await copied.get('/auth/csrf')).status, 401)
    assert.equal(code(await verifyAt(s, 'http://x.two.apps.localhost:8000', '/plain/1', one)), 'BAD_REQUEST')
  })

  test('each host has its own redirect URI, and an attempt of one ends on no other', async () => {
    const one = s.client(hostOf(ONE))
    const begun = location(await one.page('/auth/login'))
    assert.equal(begun.searchParams.get('redirect_uri'), `${ONE}/auth/callback`)
    const back = await s.provider.signIn(begun)
    const two = s.client(hostOf(TWO))
    for (const [n, c] of one.cookies) two.cookies.set(n, c)
    assert.equal(code(await two.page(back.pathname + back.search)), 'LOGIN_UNKNOWN')
  })
})

describe('cookies with __Host-', () => {
  const APP = 'https://app.example.com'
  let s: Service
  before(async () => {
    s = await startService({
      registered: [APP],
      settings: (base) => {
        Object.assign(base.server, { public_url: APP })
        Object.assign(base.session, {
          cookie_name: '__Host-bff_session',
          secret: '0123456789abcdefghijklmnopqrstuvwxyz',
        })
      },
      clientSecret: 'not-the-usual-client-secret-0123',
    })
  })
  after(() => s.stop())

  test('a session cookie with __Host- works from sign-in to sign-out, and so do its sign-in attempts', async () => {
    const c = s.client(hostOf(APP))
    const begun = await c.page('/auth/login?return_to=/x')
    const attempts = begun.headers.getSetCookie()
    assert.ok(attempts.length >= 2)
    for (const line of attempts)
      assert.match(line, /^__Host-bff_login_[\w-]+=[^;]*; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax; Secure$/)
    const back = await s.provider.signIn(location(begun))
    const done = await c.page(back.pathname + back.search)
    assert.equal(done.headers.get('location'), `${APP}/x`)
    const session = done.headers.getSetCookie().find((l) => l.startsWith('__Host-bff_session='))
    assert.match(session ?? '', /; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
    assert.doesNotMatch(session ?? '', /domain|max-age|expires/i)
    const ok = await verifyAt(s, APP, '/plain/1', c, { cookie: `a=b; ${c.header('/plain/1')}` })
    assert.deepEqual([ok.status, ok.headers.get('cookie')], [200, 'a=b'], 'none of ours goes upstream')
    const reloaded = await c.page(back.pathname + back.search)
    assert.equal(code(reloaded), 'LOGIN_REPLAYED')
    const token = String((await json(await c.get('/auth/csrf')))['csrf_token'])
    const out = await c.post('/auth/logout', `csrf_token=${token}`, { accept: 'application/json' })
    assert.equal(out.status, 200)
    const gone = out.headers.getSetCookie().filter((l) => l.startsWith('__Host-bff_session='))
    assert.equal(gone.length, 1)
    assert.doesNotMatch(gone[0] ?? '', /domain/i)
    assert.ok(!c.cookies.has('__Host-bff_session'))
  })

  test('two of them are refused, and an attempt that a sibling host planted under the plain name is not looked at', async () => {
    const two = await verifyAt(s, APP, '/plain/1', undefined, { cookie: '__Host-bff_session=a; __Host-bff_session=b' })
    assert.equal(code(two), 'BAD_REQUEST')
    const attacker = s.client(hostOf(APP))
    const back = await s.provider.signIn(location(await attacker.page('/auth/login')))
    const victim = s.client(hostOf(APP))
    for (const [n, c] of attacker.cookies) victim.cookies.set(n.replace('__Host-', ''), c)
    assert.equal(code(await victim.page(back.pathname + back.search)), 'LOGIN_UNKNOWN')
  })
})

describe('what a cookie is worth', () => {
  test('a planted cookie is not taken over at login, and one signed with an older secret works while that is listed', async () => {
    const [old, young] = ['0123456789abcdefghijklmnopqrstuv-old', '0123456789abcdefghijklmnopqrstuv-new']
    const dir = { store: 'sqlite::memory:' }
    const s = await startService({ ...dir, settings: (b) => void (b.session['secret'] = [young, old]) })
    try {
      const planted = s.client()
      planted.cookies.set('bff_session', {
        value: 's%3Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.sig',
        path: '/',
        line: '',
      })
      await s.signIn(planted)
      const value = planted.cookies.get('bff_session')?.value ?? ''
      assert.doesNotMatch(value, /aaaaaaaa/)
      const { deriveKeys } = await import('../../middleware/session/keys.ts')
      const { readSessionCookie, writeSessionCookie } = await import('../../middleware/session/cookie.ts')
      const { secret } = await import('../../config/secret.ts')
      const [newKey = '', oldKey = ''] = deriveKeys([secret(young), secret(old)], 'session cookie').map((k) =>
        k.toString('hex'),
      )
      const id = readSessionCookie(value, [newKey])
      assert.ok(id !== undefined, 'the first signs')
      const header = { cookie: `bff_session=${writeSessionCookie(id, oldKey)}` }
      assert.equal((await s.verify('/plain/1', { headers: header })).status, 200)
      const [strange = ''] = deriveKeys([secret('0123456789abcdefghijklmnopqrstuv-not-listed')], 'session cookie').map(
        (k) => k.toString('hex'),
      )
      const unlisted = { cookie: `bff_session=${writeSessionCookie(id, strange)}` }
      assert.equal(code(await s.verify('/plain/1', { headers: unlisted })), 'NO_SESSION')
    } finally {
      await s.stop()
    }
  })
})
