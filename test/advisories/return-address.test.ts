import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Client } from '../support/client.ts'
import { ORIGIN, startService, type Service } from '../support/service.ts'

let s: Service
let alice: Client
before(async () => {
  s = await startService()
  alice = await s.signIn()
})
after(() => s.stop())

/** The advisories that taught them: GHSA-qqxw, GHSA-j7px, GHSA-5m6c, GHSA-4mf2 (oauth2-proxy), CVE-2024-52289 (authentik). */
const EVIL = [
  '/\\evil.com',
  '/%09/google.com',
  '/\t/google.com',
  'http:example.com@1.2.3.4',
  '/./\\evil.com',
  '//evil.com',
  '/.//evil.com',
  '///evil.com',
  'https://evil.com',
  'https:evil.com',
  'javascript:alert(1)',
  'data:text/html,x',
  'http://evillocalhost:8000/',
  'http://localhost:8000.evil.com/',
  'http://localhost:8000@evil.com/',
  'https://evil/?http://localhost:8000',
  'http://localhostx8000/',
  'http://localhost:80001/',
  'http://localhost:8000\\@evil.com',
  ' https://evil.com',
  '\r\nLocation: https://evil.com',
]

for (const address of EVIL) {
  test(`return_to ${JSON.stringify(address)} leads nowhere but to this site`, async () => {
    const res = await alice.page(`/auth/login?return_to=${encodeURIComponent(address)}`)
    assert.equal(res.status, 302)
    assert.equal(new URL(res.headers.get('location') ?? '').origin, ORIGIN)
  })
}

test('an address hidden in `state` is read by nobody', async () => {
  for (const state of [
    'https://evil.com',
    `${'x'.repeat(43)}:https://evil.com`,
    Buffer.from('https://evil.com').toString('base64url'),
  ]) {
    const res = await s.client().page(`/auth/callback?code=x&state=${encodeURIComponent(state)}`)
    assert.equal(res.headers.get('location'), null)
    assert.doesNotMatch(await res.text(), /evil\.com/)
  }
})

test('sign-out takes no address from the request', async () => {
  for (const name of ['return_to', 'post_logout_redirect_uri', 'redirect_uri', 'rd']) {
    const client = await s.signIn()
    const token = client.cookies.get('_csrf_token')?.value ?? ''
    const res = await client.post(
      `/auth/logout?${name}=https://evil.com`,
      `csrf_token=${encodeURIComponent(token)}&${name}=https://evil.com`,
      {
        origin: ORIGIN,
      },
    )
    assert.equal(res.status, 200)
    assert.doesNotMatch(await res.text(), /evil/)
  }
})
