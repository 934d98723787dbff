import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startService, type Service } from '../support/service.ts'

let s: Service
before(async () => {
  s = await startService()
})
after(() => s.stop())

test('an error on the callback, which anybody can make of a sign-in of their own, spends no mark of the store', async () => {
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
