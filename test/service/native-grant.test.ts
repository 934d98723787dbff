import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { errors, type KoaContextWithOIDC, type Provider } from 'oidc-provider'
import type { Client } from '../support/client.ts'
import { ORIGIN, startService, type Service } from '../support/service.ts'

const GRANT = 'urn:cocoar:otp'
let redeemed = 0
let withIdToken = true

/** A provider that redeems a one-time code; `asked` is what makes a user. */
function otp(oidc: Provider): void {
  const handler = async (ctx: KoaContextWithOIDC): Promise<void> => {
    redeemed += 1
    const { username, otp: code } = ctx.oidc.params as Record<string, string>
    const { client } = ctx.oidc
    if (code !== '123456' || username === undefined || client === undefined)
      throw new errors.InvalidGrant('no such user or code')
    const scope = 'openid profile email offline_access'
    const grant = new oidc.Grant({ accountId: username, clientId: client.clientId })
    grant.addOIDCScope(scope)
    const grantId = await grant.save()
    const shared = { accountId: username, client, grantId, gty: GRANT, scope }
    const access = new oidc.AccessToken(shared)
    const refresh = new oidc.RefreshToken({ ...shared, authTime: Math.floor(Date.now() / 1000) })
    const accessToken = await access.save()
    ctx.oidc.entity('AccessToken', access)
    const id = new oidc.IdToken({ sub: username, email: `${username}@example.com`, email_verified: true }, { ctx })
    Object.assign(id, { scope: 'openid email' })
    ctx.body = {
      access_token: accessToken,
      expires_in: access.expiration,
      token_type: 'Bearer',
      scope,
      refresh_token: await refresh.save(),
      ...(withIdToken ? { id_token: await id.issue({ use: 'idtoken' }) } : {}),
    }
  }
  oidc.registerGrantType(GRANT, handler, ['username', 'otp', 'scope'])
}

const post = (client: Client, body: unknown, headers: Record<string, string> = {}, name = 'otp'): Promise<Response> =>
  client.get(
    `/auth/login/grant/${name}`,
    { 'content-type': 'application/json', origin: ORIGIN, ...headers },
    { method: 'POST', body: JSON.stringify(body) },
  )
const code = (res: Response): string | null => res.headers.get('x-bff-error')

const grants =
  (limit: string, type = GRANT) =>
  (base: { auth: Record<string, unknown> }) => {
    base.auth['native_grants'] = { otp: { grant_type: type, parameters: ['username', 'otp'], identifier: 'username' } }
    Object.assign(base, { limits: { native_grant: limit } })
  }

describe('R17 sign-in by an extension grant', () => {
  let s: Service
  before(async () => {
    s = await startService({ settings: grants('1000/m'), extendProvider: otp, grantTypes: [GRANT] })
  })
  after(() => s.stop())

  test('starts the same session, with a new id, and no token reaches the browser', async () => {
    const client = s.client()
    const res = await post(client, { username: 'alice', otp: '123456' })
    assert.equal(res.status, 200)
    const body = await res.text()
    assert.deepEqual(JSON.parse(body), { authenticated: true, sub: 'alice' })
    assert.doesNotMatch(body + client.lines.join(), /eyJ/)
    assert.equal((await client.get('/api/auth/session')).status, 200)
    const verified = await s.verify('/plain/1', { client })
    assert.equal(verified.headers.get('x-user-id'), 'alice')
    assert.equal(verified.headers.get('x-user-email'), 'alice@example.com')
    await s.waitForLog((l) => l['msg'] === 'login_ok' && l['sub'] === 'alice')
  })

  test('without an id token the user is who userinfo says', async () => {
    withIdToken = false
    try {
      const client = s.client()
      assert.equal((await post(client, { username: 'bob', otp: '123456' })).status, 200)
      assert.equal((await s.verify('/plain/1', { client })).headers.get('x-user-id'), 'bob')
    } finally {
      withIdToken = true
    }
  })

  test('a wrong code and a user that nobody knows read alike', async () => {
    const texts: string[] = []
    for (const body of [
      { username: 'alice', otp: '000000' },
      { username: 'nobody-at-all', otp: '000000' },
    ]) {
      const res = await post(s.client(), body)
      assert.deepEqual([res.status, code(res)], [401, 'LOGIN_FAILED'])
      texts.push((await res.text()).replace(/"correlation_id":"\w+"/, ''))
    }
    assert.equal(texts[0], texts[1])
  })

  test('takes JSON of the same origin only, the parameters that the config names, and grants that it names', async () => {
    const before = redeemed
    const good = { username: 'alice', otp: '123456' }
    for (const [res, status] of [
      [post(s.client(), good, { origin: 'https://evil.example.com' }), 403],
      [post(s.client(), good, { 'sec-fetch-site': 'cross-site' }), 403],
      [post(s.client(), good, { 'content-type': 'application/x-www-form-urlencoded' }), 400],
      [post(s.client(), good, { 'content-type': 'text/plain' }), 400],
      [post(s.client(), { ...good, client_id: 'other' }), 400],
      [post(s.client(), { ...good, grant_type: 'password' }), 400],
      [post(s.client(), { otp: '123456' }), 400],
      [post(s.client(), {}), 400],
      [post(s.client(), good, {}, 'other'), 404],
    ] as const) {
      assert.equal((await res).status, status)
    }
    const foreign = s.client()
    const missing = await foreign.get(
      '/auth/login/grant/otp',
      { 'content-type': 'application/json' },
      { method: 'POST', body: JSON.stringify(good) },
    )
    assert.equal(missing.status, 403, 'no Origin proves nothing')
    assert.equal(redeemed, before)
  })
})

test('R17 the limit counts per user and per address, before the provider is asked', async () => {
  const s = await startService({ settings: grants('3/m'), extendProvider: otp, grantTypes: [GRANT] })
  try {
    const from = (ip: string, username: string): Promise<Response> =>
      post(s.client(), { username, otp: '000000' }, { 'x-forwarded-for': ip })
    for (let i = 0; i < 3; i++) assert.equal((await from(`203.0.113.${i}`, 'alice')).status, 401)
    const before = redeemed
    // The same name in the full-width letters that a provider may fold, too (CVE-2025-24806, CVE-2026-47203).
    assert.equal((await from('203.0.113.8', '\uff21lice')).status, 429)
    const limited = await from('203.0.113.9', ' Alice ')
    assert.deepEqual([limited.status, code(limited)], [429, 'RATE_LIMITED'])
    assert.match(limited.headers.get('retry-after') ?? '', /^\d+$/)
    assert.equal(redeemed, before)
    for (let i = 0; i < 3; i++) assert.equal((await from('203.0.113.50', `user-${i}`)).status, 401)
    assert.equal((await from('203.0.113.50', 'user-9')).status, 429)
    assert.equal((await from('203.0.113.51', 'user-9')).status, 401)
  } finally {
    await s.stop()
  }
})

test('R18 a provider that does not know the grant is a clear error in answer, log and /ready, and is not asked again', async () => {
  let calls = 0
  const s = await startService({
    settings: grants('1000/m', 'urn:nobody:knows'),
    extendProvider: (oidc) => {
      oidc.on('grant.error', () => (calls += 1))
    },
  })
  try {
    for (let i = 0; i < 3; i++) {
      const res = await post(s.client(), { username: 'alice', otp: '1' })
      assert.deepEqual([res.status, code(res)], [502, 'UNSUPPORTED_GRANT_TYPE'])
    }
    assert.equal(calls, 1)
    await s.waitForLog((l) => l['error'] === 'unsupported_grant_type')
    const ready = (await (await fetch(`${s.adminUrl}/ready`)).json()) as { faults: string[] }
    assert.deepEqual(ready.faults, ['unsupported_grant_type: login otp'])
  } finally {
    await s.stop()
  }
})

describe('who may sign in at all', () => {
  const signIn = async (
    require: Record<string, unknown>,
  ): Promise<{ readonly page: Response; readonly client: Client; readonly s: Service }> => {
    const s = await startService({
      settings: (base) => {
        base.auth['require'] = require
      },
    })
    const client = s.client()
    const begun = await client.page('/auth/login?return_to=/x')
    const back = await s.provider.signIn(new URL(begun.headers.get('location') ?? ''))
    return { page: await client.page(back.pathname + back.search), client, s }
  }

  test('a domain, group or claim that is missing is a 403 page that says who you are and offers another account', async () => {
    for (const require of [
      { email_domains: ['other.example'] },
      { groups: ['admins'] },
      { claims: { email: 'bob@example.com' } },
    ]) {
      const { page, client, s } = await signIn(require)
      try {
        assert.deepEqual([page.status, code(page)], [403, 'LOGIN_NOT_ALLOWED'])
        const html = await page.text()
        assert.match(html, /alice@example\.com/)
        assert.match(html, /href="\/auth\/login\?prompt=select_account"/)
        assert.ok(!client.cookies.has('bff_session'))
        await s.waitForLog((l) => l['msg'] === 'login_failed code=LOGIN_NOT_ALLOWED')
      } finally {
        await s.stop()
      }
    }
  })

  test('whoever fits signs in', async () => {
    const { page, s } = await signIn({ email_domains: ['EXAMPLE.com'], claims: { email: ['x', 'alice@example.com'] } })
    assert.equal(page.status, 302)
    await s.stop()
  })
})
