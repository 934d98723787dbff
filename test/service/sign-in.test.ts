import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { PROVIDER_ERRORS, statusOf } from '../../middleware/decision.ts'
import { ORIGIN, startService, type Service } from '../support/service.ts'

let s: Service
before(async () => {
  s = await startService()
})
after(() => s.stop())

const location = (res: Response): URL => new URL(res.headers.get('location') ?? '', ORIGIN)

test('R1 R5 signing in ends at return_to, with a session cookie and a CSRF token and nothing else of ours', async () => {
  const client = s.client()
  const start = await client.page('/auth/login?return_to=/orders/7%3Fa=1')
  assert.equal(start.status, 302)
  const at = location(start)
  assert.equal(at.searchParams.get('response_type'), 'code')
  assert.equal(at.searchParams.get('code_challenge_method'), 'S256')
  assert.equal(at.searchParams.get('redirect_uri'), `${ORIGIN}/auth/callback`)
  for (const name of ['state', 'nonce', 'code_challenge']) assert.match(at.searchParams.get(name) ?? '', /^[\w-]{43}$/)
  const back = await s.provider.signIn(at)
  const done = await client.page(back.pathname + back.search)
  assert.equal(done.headers.get('location'), `${ORIGIN}/orders/7?a=1`)
  assert.deepEqual([...client.cookies.keys()].filter((n) => !n.startsWith('bff_login_')).sort(), [
    '_csrf_token',
    'bff_session',
  ])
})

test('R2 the session cookie is HttpOnly, Secure, SameSite=Lax, host only and without an age', async () => {
  const client = await s.signIn()
  const line = client.cookies.get('bff_session')?.line ?? ''
  for (const attribute of ['HttpOnly', 'Secure', 'SameSite=Lax', 'Path=/'])
    assert.ok(line.includes(`; ${attribute}`), line)
  assert.doesNotMatch(line, /Max-Age|Expires|Domain/i)
})

test('R3 what a sign-in leaves in the browser holds no JWT, code, verifier or secret', async () => {
  const client = s.client()
  const start = await client.page('/auth/login')
  const back = await s.provider.signIn(location(start))
  const code = back.searchParams.get('code') ?? 'none'
  const done = await client.page(back.pathname + back.search)
  const status = await client.get('/api/auth/session')
  const seen = [
    ...client.lines,
    JSON.stringify([...done.headers]),
    await done.text(),
    await status.text(),
    JSON.stringify([...start.headers]),
  ].join('\n')
  assert.doesNotMatch(seen, /eyJ[\w-]+\.[\w-]+\./)
  assert.ok(!seen.includes(code))
  assert.ok(!seen.includes('demo-only-client-secret'))
  assert.ok(!location(start).searchParams.has('code_verifier'))
})

test('a login start writes nothing to the store, and no session cookie', async () => {
  const client = s.client()
  for (let i = 0; i < 20; i++) await client.page('/auth/login')
  assert.ok(!client.cookies.has('bff_session'))
  assert.ok([...client.cookies.values()].filter((c) => c.path === '/auth/callback').length <= 5)
})

test('several tabs can sign in at once, up to five; the oldest attempt is the one that is lost', async () => {
  const client = s.client()
  const tabs: URL[] = []
  for (let i = 0; i < 6; i++) tabs.push(location(await client.page(`/auth/login?return_to=/tab/${i}`)))
  const results: [number, string | null][] = []
  for (const tab of tabs) {
    const back = await s.provider.signIn(tab)
    const done = await client.page(back.pathname + back.search)
    results.push([done.status, done.headers.get('x-bff-error')])
  }
  assert.deepEqual(results[0], [400, 'LOGIN_UNKNOWN'])
  for (const [status] of results.slice(1)) assert.equal(status, 302)
})

test('the session id changes at login, and a planted cookie is not taken over', async () => {
  const first = await s.signIn()
  const planted = first.cookies.get('bff_session')
  assert.ok(planted)
  const victim = s.client()
  victim.cookies.set('bff_session', planted)
  await s.signIn(victim, '/auth/login?prompt=login')
  assert.notEqual(victim.cookies.get('bff_session')?.value, planted.value)
  assert.equal((await first.get('/api/auth/session')).status, 401, 'whoever planted it holds nothing')
  assert.equal((await victim.get('/api/auth/session')).status, 200)
})

test('signed in already: off to return_to at once, unless more is asked for', async () => {
  const client = await s.signIn()
  assert.equal((await client.page('/auth/login?return_to=/x')).headers.get('location'), `${ORIGIN}/x`)
  assert.notEqual(location(await client.page('/auth/login?prompt=login')).origin, ORIGIN)
})

describe('a callback is refused before the code is redeemed', () => {
  const refused = async (client: { page(p: string): Promise<Response> }, path: string, code: string): Promise<void> => {
    const page = await client.page(path)
    assert.equal(page.status, 400)
    assert.equal(page.headers.get('x-bff-error'), code)
    const html = await page.text()
    assert.match(html, /href="\/auth\/login/)
    assert.ok(html.includes(code))
  }

  test('when it is replayed', async () => {
    const client = s.client()
    const back = await s.provider.signIn(location(await client.page('/auth/login')))
    await client.page(back.pathname + back.search)
    await refused(client, back.pathname + back.search, 'LOGIN_REPLAYED')
  })

  test('when it is replayed with a copy of the attempt cookie', async () => {
    const client = s.client()
    const start = location(await client.page('/auth/login'))
    const copy = s.client()
    for (const [name, cookie] of client.cookies) copy.cookies.set(name, cookie)
    const back = await s.provider.signIn(start)
    await client.page(back.pathname + back.search)
    await refused(copy, back.pathname + back.search, 'LOGIN_REPLAYED')
  })

  test('when another browser began it', async () => {
    const back = await s.provider.signIn(location(await s.client().page('/auth/login')))
    await refused(s.client(), back.pathname + back.search, 'LOGIN_UNKNOWN')
  })

  test('when state is missing, doubled or nonsense', async () => {
    const client = s.client()
    const back = await s.provider.signIn(location(await client.page('/auth/login')))
    const state = back.searchParams.get('state') ?? ''
    await refused(client, '/auth/callback?code=x', 'LOGIN_UNKNOWN')
    await refused(client, `/auth/callback?code=x&state=${state}&state=${state}`, 'LOGIN_UNKNOWN')
    await refused(client, '/auth/callback?code=x&state=%00', 'LOGIN_UNKNOWN')
  })

  test('when iss names another provider, or is missing though announced (RFC 9207)', async () => {
    for (const iss of ['https://evil.example.com', undefined]) {
      const client = s.client()
      const back = await s.provider.signIn(location(await client.page('/auth/login')))
      if (iss === undefined) back.searchParams.delete('iss')
      else back.searchParams.set('iss', iss)
      await refused(client, back.pathname + back.search, 'LOGIN_ISSUER_MISMATCH')
    }
  })
})

test('a code that the provider refuses is a page with a code, and no session', async () => {
  const client = s.client()
  const back = await s.provider.signIn(location(await client.page('/auth/login')))
  back.searchParams.set('code', 'nonsense')
  const page = await client.page(back.pathname + back.search)
  assert.equal(page.status, 502)
  assert.equal(page.headers.get('x-bff-error'), 'LOGIN_FAILED')
  assert.ok(!client.cookies.has('bff_session'))
  assert.doesNotMatch(await page.text(), /at \w+ \(|node:internal|nonsense/)
})

for (const [error, code] of PROVIDER_ERRORS) {
  test(`R21 error=${error} on the callback has its page, its code and a way to try again`, async () => {
    const client = s.client()
    const start = location(await client.page('/auth/login?return_to=/here'))
    const query = new URLSearchParams({
      error,
      state: start.searchParams.get('state') ?? '',
      iss: s.provider.issuer,
      error_description: '<script>alert(1)</script>',
    })
    const page = await client.page(`/auth/callback?${query.toString()}`)
    assert.equal(page.status, statusOf(code))
    assert.equal(page.headers.get('x-bff-error'), code)
    const html = await page.text()
    assert.ok(html.includes(code))
    assert.match(html, /href="\/auth\/login\?return_to=[^"]*here/)
    assert.ok(!html.includes('<script'))
    await s.waitForLog((l) => l['msg'] === `login_failed code=${code}`)
  })
}

test('R21 an error that no document knows has a page too, and nothing of it is repeated', async () => {
  const client = s.client()
  const start = location(await client.page('/auth/login'))
  const query = new URLSearchParams({
    error: '<script>alert(1)</script>',
    state: start.searchParams.get('state') ?? '',
    iss: s.provider.issuer,
  })
  const page = await client.page(`/auth/callback?${query.toString()}`)
  assert.equal(page.headers.get('x-bff-error'), 'PROVIDER_ERROR')
  assert.ok(!(await page.text()).includes('<script'))
})

test('R21 a program that asks the callback gets problem+json, a person a page in their language', async () => {
  const program = await s.client().get('/auth/callback?code=x')
  assert.equal(program.headers.get('content-type'), 'application/problem+json')
  const problem = (await program.json()) as Record<string, unknown>
  assert.equal(problem['code'], 'LOGIN_UNKNOWN')
  assert.equal(problem['status'], 400)
  const page = await s.client().page('/auth/callback?code=x', { 'accept-language': 'fr, de;q=0.8, en;q=0.5' })
  assert.match(await page.text(), /<html lang="de">/)
})

test('X-Forwarded-Host of a stranger shapes no redirect_uri', async () => {
  const res = await s.client('evil.example.com').page('/auth/login')
  assert.equal(res.status, 400)
  assert.equal(res.headers.get('x-bff-error'), 'BAD_REQUEST')
})

test('too many login starts from one address are 429 with Retry-After, and others go on', async () => {
  const tight = await startService({
    settings: (base) => {
      base['limits'] = { login: '3/m' }
    },
  })
  try {
    const client = tight.client()
    const from = (ip: string): Promise<Response> => client.page('/auth/login', { 'x-forwarded-for': ip })
    for (let i = 0; i < 3; i++) assert.equal((await from('203.0.113.1')).status, 302)
    const limited = await from('203.0.113.1')
    assert.equal(limited.status, 429)
    assert.equal(limited.headers.get('x-bff-error'), 'RATE_LIMITED')
    assert.match(limited.headers.get('retry-after') ?? '', /^\d+$/)
    assert.equal((await from('203.0.113.2')).status, 302)
  } finally {
    await tight.stop()
  }
})
