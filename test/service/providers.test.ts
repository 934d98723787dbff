import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { SignJWT, decodeJwt, exportJWK, generateKeyPair } from 'jose'
import type { Provider as OidcProvider } from 'oidc-provider'
import { startRealProvider, type RealProvider } from '../provider/real-provider.ts'
import type { Client } from '../support/client.ts'
import { movableClock } from '../support/clock.ts'
import { ORDERS, ORIGIN, startService, type Service } from '../support/service.ts'

const code = (res: Response): string | null => res.headers.get('x-bff-error')
const location = (res: Response): URL => new URL(res.headers.get('location') ?? 'none:')
const json = async (res: Response): Promise<Record<string, unknown>> => (await res.json()) as Record<string, unknown>
const NAVIGATION = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }

/** A provider that neither announces RFC 9207 nor says `iss` on the way back. */
function silent(oidc: OidcProvider): void {
  oidc.use(async (ctx, next) => {
    await next()
    if (ctx.path.endsWith('/.well-known/openid-configuration'))
      delete (ctx.body as Record<string, unknown>)['authorization_response_iss_parameter_supported']
    const { location: to } = ctx.response.headers
    if (typeof to === 'string' && to.includes('iss='))
      ctx.set('location', to.replace(/([?&])iss=[^&]*&?/, '$1').replace(/[?&]$/, ''))
  })
}

const client = (name: string) => ({
  client_id: name,
  client_secret: 'demo-only-other-secret',
  redirect_uris: [`${ORIGIN}/auth/callback`, `${ORIGIN}/auth/callback/${name}`],
  post_logout_redirect_uris: [`${ORIGIN}/auth/logged-out`],
  grant_types: ['authorization_code', 'refresh_token'],
})

/** A logout token as OpenID Connect Back-Channel Logout 1.0 §2.4 has it. */
function logoutToken(key: CryptoKey, claims: Record<string, string>): Promise<string> {
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  return new SignJWT({ ...claims, events, jti: randomUUID() })
    .setProtectedHeader({ alg: 'RS256', typ: 'logout+jwt', kid: 'staff-key' })
    .setIssuedAt()
    .setExpirationTime('2m')
    .sign(key)
}

type Yaml = Record<string, unknown>
type Base = Parameters<NonNullable<Parameters<typeof startService>[0]>['settings'] & object>[0]

/** The service's own provider as `main`, `staff` beside it, and `quiet`, which does not say who it is. */
function several(staff: RealProvider, quiet: RealProvider): (base: Base) => void {
  return (base) => {
    const { issuer, client_id, client_secret, ...shared } = base.auth
    const other = (p: RealProvider, name: string, more: Yaml = {}): Yaml => ({
      issuer: p.issuer,
      client_id: name,
      client_secret: 'demo-only-other-secret',
      ...more,
    })
    base.auth = {
      ...shared,
      providers: {
        main: { issuer, client_id, client_secret, display_name: 'Customers & friends' },
        staff: other(staff, 'staff', { require: { email_domains: ['example.com'] }, logout_hint: 'id_token' }),
        quiet: other(quiet, 'quiet', { oauth_scopes: 'openid email', extra_params: {} }),
      },
    }
  }
}

describe('several providers', () => {
  const clock = movableClock()
  let s: Service
  let staff: RealProvider
  let quiet: RealProvider
  let staffKey: CryptoKey
  before(async () => {
    const pair = await generateKeyPair('RS256', { extractable: true })
    staffKey = pair.privateKey
    const jwks = { keys: [{ ...(await exportJWK(pair.privateKey)), kid: 'staff-key', alg: 'RS256', use: 'sig' }] }
    staff = await startRealProvider({
      clients: [client('staff')],
      par: false,
      useGrantedResource: false,
      configuration: { jwks },
    })
    quiet = await startRealProvider({
      clients: [client('quiet')],
      par: false,
      useGrantedResource: false,
      extend: silent,
    })
    s = await startService({
      clock,
      settings: several(staff, quiet),
      routes: ({ routes }) => routes.push({ id: 'fresh', path: '/fresh/*', require: { max_age: '1s' } }),
    })
  })
  after(async () => {
    await s.stop()
    await staff.close()
    await quiet.close()
  })
  const signIn = (name: string, c?: Client): Promise<Client> => s.signIn(c, `/auth/login?provider=${name}`)

  test('who says nothing is shown a page with a link for each provider, which keeps where they were going and what was asked', async () => {
    const res = await s.client().page('/auth/login?return_to=/deep?a=1&login_hint=bo<b', { 'accept-language': 'de' })
    const html = await res.text()
    assert.equal(res.status, 200)
    assert.match(html, /lang="de"[\s\S]*Wie möchten Sie sich anmelden\?/)
    assert.match(html, /Customers &#38; friends/)
    const links = [...html.matchAll(/href="([^"]+)"/g)].map(
      (m) => new URL((m[1] ?? '').replaceAll('&#38;', '&'), ORIGIN),
    )
    assert.deepEqual(
      links.map((l) => l.searchParams.get('provider')),
      ['main', 'staff', 'quiet'],
    )
    for (const l of links) {
      assert.equal(l.searchParams.get('return_to'), `${ORIGIN}/deep?a=1`)
      assert.equal(l.searchParams.get('login_hint'), 'bo<b')
    }
    assert.doesNotMatch(html, /<script/)
    assert.deepEqual(res.headers.getSetCookie(), [])
  })

  test('a program gets the same as a list', async () => {
    const res = await s.client().get('/auth/login?return_to=/x', { accept: 'application/json' })
    const { providers } = (await res.json()) as { providers: Record<string, string>[] }
    assert.deepEqual(
      providers.map((p) => [p['name'], p['display_name']]),
      [
        ['main', 'Customers & friends'],
        ['staff', '127.0.0.1'],
        ['quiet', '127.0.0.1'],
      ],
    )
    assert.match(providers[1]?.['login_url'] ?? '', /^\/auth\/login\?return_to=.*&provider=staff$/)
  })

  test('an unknown provider, and one named twice, are bad requests', async () => {
    for (const q of ['provider=nobody', 'provider=', 'provider=main&provider=staff', 'provider=__proto__'])
      assert.equal(code(await s.client().page(`/auth/login?${q}`)), 'BAD_REQUEST', q)
  })

  test('the same sub at two providers is two users: headers, session lists and sign-out everywhere keep them apart', async () => {
    const [a, b] = [await signIn('main'), await signIn('staff')]
    for (const [c, issuer] of [
      [a, s.provider.issuer],
      [b, staff.issuer],
    ] as const) {
      const ok = await s.verify('/plain/1', { client: c })
      assert.deepEqual([ok.headers.get('x-user-id'), ok.headers.get('x-user-issuer')], ['alice', issuer])
      const { sessions } = (await (await c.get('/auth/sessions')).json()) as { sessions: unknown[] }
      assert.equal(sessions.length, 1)
    }
    const token = String((await json(await a.get('/auth/csrf')))['csrf_token'])
    assert.equal((await a.post('/auth/logout?everywhere=true', `csrf_token=${token}`)).status, 200)
    assert.equal((await s.verify('/plain/1', { client: a })).status, 401)
    assert.equal((await s.verify('/plain/1', { client: b })).status, 200)
  })

  test('step-up, a silent sign-in and signing in again go to the session’s own provider without a choice', async () => {
    const c = await signIn('staff')
    const at = (res: Response): string => location(res).origin
    assert.equal(at(await c.page('/auth/login?prompt=none')), staff.issuer)
    assert.equal(at(await c.page('/auth/login?prompt=login')), staff.issuer)
    assert.equal(at(await c.page('/auth/login?acr_values=x')), staff.issuer)
    assert.equal((await c.page('/auth/login?prompt=select_account')).status, 200, 'another account may be elsewhere')
    assert.equal(at(await s.client().page('/auth/login?prompt=none')), s.provider.issuer, 'nobody yet: the default')
    const page = await (await s.verify('/reports/1', { client: c, headers: NAVIGATION })).text()
    assert.match(page, /href="[^"]*\/auth\/login\?prompt=login&#38;return_to=[^"]*&#38;provider=staff"/)
    clock.jump(5000)
    const stale = await s.verify('/fresh/1', { client: c, headers: NAVIGATION })
    clock.reset()
    assert.equal(location(stale).searchParams.get('provider'), 'staff')
  })

  test('a provider that does not say who it is has a callback of its own, from start to redemption (RFC 9700 §4.4)', async () => {
    const c = s.client()
    const begun = location(await c.page('/auth/login?provider=quiet&return_to=/x'))
    assert.equal(begun.searchParams.get('redirect_uri'), `${ORIGIN}/auth/callback/quiet`)
    assert.equal(begun.searchParams.get('scope'), 'openid email')
    const back = await quiet.signIn(begun)
    assert.equal(back.pathname, '/auth/callback/quiet')
    assert.ok(!back.searchParams.has('iss'))
    assert.equal((await c.page(back.pathname + back.search)).headers.get('location'), `${ORIGIN}/x`)
    assert.equal((await s.verify('/plain/1', { client: c })).headers.get('x-user-issuer'), quiet.issuer)
    const announced = location(await s.client().page('/auth/login?provider=staff'))
    assert.equal(announced.searchParams.get('redirect_uri'), `${ORIGIN}/auth/callback`)
  })

  test('an answer at another provider’s callback, or at the shared one without iss, is a mix-up and never redeemed', async () => {
    const answerOf = async (name: string, at: RealProvider): Promise<[Client, URL]> => {
      const c = s.client()
      return [c, await at.signIn(location(await c.page(`/auth/login?provider=${name}`)))]
    }
    const [q, quietBack] = await answerOf('quiet', quiet)
    const [m, mainBack] = await answerOf('main', s.provider)
    const silentBack = new URL(mainBack)
    silentBack.searchParams.delete('iss')
    const foreign = new URL(mainBack)
    foreign.searchParams.set('iss', staff.issuer)
    for (const [c, path, back] of [
      [q, '/auth/callback', quietBack],
      [q, '/auth/callback/staff', quietBack],
      [m, '/auth/callback/quiet', mainBack],
      [m, '/auth/callback', silentBack],
      [m, '/auth/callback', foreign],
    ] as const) {
      const tried = s.client()
      for (const [n, cookie] of c.cookies) tried.cookies.set(n, cookie)
      assert.equal(code(await tried.page(path + back.search)), 'LOGIN_ISSUER_MISMATCH', path)
    }
    assert.equal((await q.page(quietBack.pathname + quietBack.search)).status, 302, 'the code was not spent')
    assert.equal(code(await s.client().page(`/auth/callback/nobody${quietBack.search}`)), 'LOGIN_UNKNOWN')
  })

  test('a logout token of one provider never ends a session of another with the same sub', async () => {
    const [a, b] = [await signIn('main'), await signIn('staff')]
    const token = await logoutToken(staffKey, { iss: s.provider.issuer, aud: 'bff-server', sub: 'alice' })
    const forged = await a.post('/auth/backchannel-logout', `logout_token=${token}`)
    assert.equal(forged.status, 400, 'signed by staff, said to be of main')
    const own = await logoutToken(staffKey, { iss: staff.issuer, aud: 'staff', sub: 'alice' })
    assert.equal((await b.post('/auth/backchannel-logout', `logout_token=${own}`)).status, 200)
    assert.equal((await s.verify('/plain/1', { client: b })).status, 401)
    assert.equal((await s.verify('/plain/1', { client: a })).status, 200)
  })

  test('a lone provider is asked at once, at the plain callback', async () => {
    const lone = await startService()
    try {
      const begun = location(await lone.client().page('/auth/login'))
      assert.equal(begun.origin, lone.provider.issuer)
      assert.equal(begun.searchParams.get('redirect_uri'), `${ORIGIN}/auth/callback`)
    } finally {
      await lone.stop()
    }
  })
})

test('a second client’s secret, and a session’s tokens, go to their own provider alone', async () => {
  const quiet = await startRealProvider({ clients: [client('quiet')], par: false, useGrantedResource: false })
  const staff = await startRealProvider({ clients: [client('staff')], par: false, useGrantedResource: false })
  const s = await startService({
    settings: (base) => {
      several(staff, quiet)(base)
      Object.assign(base, {
        clients: { machine: { client_id: 'bff-m2m', client_secret: 'demo-only-machine-secret', provider: 'main' } },
      })
      Object.assign(base['service_tokens'] as Yaml, {
        batch: { audience: ORDERS, scopes: ['api.read'], strategy: 'client_credentials', client: 'machine' },
        swap: { audience: ORDERS, strategy: 'token_exchange', client: 'machine' },
        far: { audience: ORDERS, strategy: 'refresh', token_endpoint: `${quiet.issuer}/token` },
      })
    },
    routes: ({ routes }) =>
      routes.push(...['batch', 'swap', 'far'].map((id) => ({ id, path: `/${id}/*`, target_service: id }))),
  })
  try {
    const seen: string[] = []
    for (const p of [staff, quiet]) p.server.on('request', (req) => seen.push(`${p.issuer}${req.url ?? ''}`))
    const c = await s.signIn(s.client(), '/auth/login?provider=staff')
    seen.length = 0
    const batch = await s.verify('/batch/1', { client: c })
    assert.equal(decodeJwt((batch.headers.get('authorization') ?? '').slice(7)).iss, s.provider.issuer)
    for (const id of ['swap', 'far'])
      assert.equal(code(await s.verify(`/${id}/1`, { client: c })), 'NO_TOKEN_AVAILABLE', id)
    assert.deepEqual(seen, [], 'neither of the others was asked')
  } finally {
    await s.stop()
    await staff.close()
    await quiet.close()
  }
})

describe('a provider that is away or was removed', () => {
  test('one provider down stops nobody who signs in with another, and /ready says which', async () => {
    const quiet = await startRealProvider({ clients: [client('quiet')], par: false, useGrantedResource: false })
    const staff = await startRealProvider({ clients: [client('staff')], par: false, useGrantedResource: false })
    await staff.close()
    const s = await startService({ settings: several(staff, quiet) })
    try {
      await s.waitForLog((l) => l['msg'] === 'provider_down' && l['provider'] === 'staff')
      const down = await s.client().page('/auth/login?provider=staff')
      assert.deepEqual([down.status, code(down)], [503, 'PROVIDER_UNAVAILABLE'])
      const c = await s.signIn(s.client(), '/auth/login?provider=main')
      assert.equal((await s.verify('/plain/1', { client: c })).status, 200)
      const all = await fetch(`${s.adminUrl}/ready`)
      const { providers } = (await all.json()) as { providers: Record<string, { up: boolean }> }
      assert.equal(all.status, 503)
      assert.deepEqual([providers['main']?.up, providers['staff']?.up], [true, false])
      assert.equal((await fetch(`${s.adminUrl}/ready?scope=local`)).status, 200)
    } finally {
      await s.stop()
      await quiet.close()
    }
  })

  test('sessions of a provider that a reload removed or gave another issuer stand, get no new token, and can be signed out', async () => {
    const quiet = await startRealProvider({ clients: [client('quiet')], par: false, useGrantedResource: false })
    const staff = await startRealProvider({ clients: [client('staff')], par: false, useGrantedResource: false })
    const s = await startService({ settings: several(staff, quiet) })
    try {
      const [removed, moved] = [
        await s.signIn(s.client(), '/auth/login?provider=quiet'),
        await s.signIn(s.client(), '/auth/login?provider=staff'),
      ]
      s.rewrite({
        settings: (base) => {
          several(staff, quiet)(base)
          const { main } = base.auth['providers'] as Record<string, Yaml>
          // The name `staff` now means another issuer, which must not be sent the old one's refresh token.
          base.auth['providers'] = {
            main,
            staff: { issuer: quiet.issuer, client_id: 'quiet', client_secret: 'demo-only-other-secret' },
          }
        },
      })
      for (const c of [removed, moved]) {
        assert.equal((await s.verify('/plain/1', { client: c })).status, 200)
        assert.equal(code(await s.verify('/orders/1', { client: c })), 'NO_TOKEN_AVAILABLE')
        const token = String((await json(await c.get('/auth/csrf')))['csrf_token'])
        const out = await c.post('/auth/logout', `csrf_token=${token}`, { accept: 'application/json' })
        assert.deepEqual([out.status, (await json(out))['logout_url']], [200, `${ORIGIN}/auth/logged-out`])
        assert.equal((await s.verify('/plain/1', { client: c })).status, 401)
      }
    } finally {
      await s.stop()
      await quiet.close()
      await staff.close()
    }
  })
})
