import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { maySignIn } from '../../middleware/login/granted.ts'
import { startService, type Service } from '../support/service.ts'

let s: Service
before(async () => {
  s = await startService()
})
after(() => s.stop())

test('an error on the callback, which anybody can make of a sign-in of their own, spends no mark of the store (CVE-2021-32702)', async () => {
  const client = s.client()
  const start = await client.page('/auth/login')
  const location = new URL(start.headers.get('location') ?? '')
  const state = location.searchParams.get('state') ?? ''
  const jar = new Map(client.cookies)
  const error = `/auth/callback?${new URLSearchParams({ state, error: '<script>alert(1)</script>', iss: s.provider.issuer }).toString()}`
  const denied = await client.page(error)
  assert.equal(denied.headers.get('x-bff-error'), 'PROVIDER_ERROR')
  assert.doesNotMatch(await denied.text(), /<script>alert/)
  const none = await client.page(`/auth/callback?${new URLSearchParams({ state, iss: s.provider.issuer }).toString()}`)
  assert.notEqual(none.status, 302)
  // The same attempt, as a browser that kept its cookie would finish it: nothing remembers it but that cookie.
  const keeper = s.client()
  for (const [name, cookie] of jar) keeper.cookies.set(name, cookie)
  const back = await s.provider.signIn(location)
  const done = await keeper.page(back.pathname + back.search)
  assert.equal(done.status, 302)
  // And its code is redeemed once.
  const thief = s.client()
  for (const [name, cookie] of jar) thief.cookies.set(name, cookie)
  const again = await thief.page(back.pathname + back.search)
  assert.equal(again.headers.get('x-bff-error'), 'LOGIN_REPLAYED')
})

test('a sign-in is always bound by PKCE with S256, and by state and nonce', async () => {
  const location = new URL((await s.client().page('/auth/login')).headers.get('location') ?? '')
  assert.equal(location.searchParams.get('code_challenge_method'), 'S256')
  for (const name of ['code_challenge', 'state', 'nonce'])
    assert.match(location.searchParams.get(name) ?? '', /^[\w-]{43}$/)
})

test('an address that only ends in an allowed domain may not sign in (GHSA-c5c4-8r6x-56w3, CVE-2026-40574)', () => {
  const require = { emailDomains: ['company.com'], groups: [], claims: {} }
  const may = (email: unknown, verified: unknown = true): boolean =>
    maySignIn(require, { email, email_verified: verified }, 'groups')
  assert.ok(may('a@company.com') && may('a@COMPANY.com'))
  for (const email of [
    'a@evil.com@company.com',
    'a@evilcompany.com',
    'a@company.com.evil.com',
    '@company.com',
    'company.com',
    ['a@company.com'],
    'a@company.com\n@evil.com',
    'a@x.company.com',
  ])
    assert.ok(!may(email), JSON.stringify(email))
  for (const verified of [false, null, 'true', 1]) assert.ok(!may('a@company.com', verified), String(verified))
  assert.ok(!maySignIn(require, { email: 'a@company.com' }, 'groups'))
  // The Kelvin sign, which is a `k` in lower case (CVE-2024-38827).
  const linked = { emailDomains: ['kelvin.example'], groups: [], claims: {} }
  assert.ok(maySignIn(linked, { email: 'a@Kelvin.example', email_verified: true }, 'groups'))
  assert.ok(!maySignIn(linked, { email: 'a@\u212aelvin.example', email_verified: true }, 'groups'))
})
