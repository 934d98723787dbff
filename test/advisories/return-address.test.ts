import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Client } from '../support/client.ts'
import { startService, type Service } from '../support/service.ts'

const HOME = 'http://app.localhost:8000'

let s: Service
let alice: Client
before(async () => {
  s = await startService({
    registered: [HOME],
    settings: (base) => {
      delete base.server['public_url']
      base.server['public_urls'] = [HOME, 'http://*.apps.localhost:8000']
    },
  })
  alice = await signIn()
})
after(() => s.stop())
const client = (): Client => s.client('app.localhost:8000')
const signIn = (): Promise<Client> => s.signIn(client())

const EVIL: readonly (readonly [address: string, why: string])[] = [
  ['/\\evil.com', 'GHSA-qqxw-m5fj-f7gv, CVE-2020-5233'],
  ['/%09/google.com', 'GHSA-j7px-6hwj-hpjg, CVE-2020-11053'],
  ['/\t/google.com', 'GHSA-j7px-6hwj-hpjg, CVE-2020-11053'],
  ['/\n/google.com', 'GHSA-j7px-6hwj-hpjg, CVE-2020-11053'],
  ['http:example.com@1.2.3.4', 'GHSA-5m6c-jp6f-2vcv, CVE-2020-4037'],
  ['/./\\evil.com', 'GHSA-5m6c-jp6f-2vcv, CVE-2020-4037'],
  ['//evil.com', 'relative to the scheme, CVE-2021-43812'],
  ['/.//evil.com', 'a dot segment before it'],
  ['///evil.com', 'three slashes'],
  ['https://evil.com', 'another site'],
  ['https:evil.com', 'no slashes'],
  ['javascript:alert(1)', 'CVE-2024-21637'],
  ['data:text/html,x', 'CVE-2024-21637'],
  ['http://evilapp.localhost:8000/', 'a suffix without a dot, GHSA-4mf2-f3wh-gvf2, CVE-2021-21291'],
  ['http://app.localhost:8000.evil.com/', 'our host as a prefix'],
  ['http://app.localhost:8000@evil.com/', 'our host as userinfo, CVE-2024-22243'],
  ['http://evil.com#@app.localhost:8000', 'userinfo in a fragment, CVE-2024-22259'],
  ['http://evil.com\\@app.localhost:8000', 'a backslash before it, CVE-2024-22262'],
  ['https://evil/?http://app.localhost:8000', 'our host as a part'],
  ['http://appxlocalhost:8000/', 'a dot of a pattern, CVE-2024-52289'],
  ['http://a.b.apps.localhost:8000/', 'two labels under a wildcard'],
  ['http://evilapps.localhost:8000/', 'no label under a wildcard'],
  ['http://app.localhost:80001/', 'a port that goes on'],
  ['http://app.localhost:8000\\@evil.com', 'a backslash behind it'],
  [' https://evil.com', 'a space before it, CVE-2024-39694'],
  ['/ /evil.com', 'a space in it, CVE-2024-39694'],
  ['\r\nLocation: https://evil.com', 'a line of its own'],
]

for (const [address, why] of EVIL) {
  test(`return_to ${JSON.stringify(address)} leads nowhere but to this site (${why})`, async () => {
    const res = await alice.page(`/auth/login?return_to=${encodeURIComponent(address)}`)
    assert.equal(res.status, 302)
    assert.equal(new URL(res.headers.get('location') ?? '').origin, HOME)
  })
}

test('the addresses that are meant do', async () => {
  for (const address of ['http://one.apps.localhost:8000/x', `${HOME}/x?y=//z`]) {
    const res = await alice.page(`/auth/login?return_to=${encodeURIComponent(address)}`)
    assert.equal(res.headers.get('location'), address)
  }
})

test('an address hidden in `state` is read by nobody (CVE-2021-29652)', async () => {
  for (const state of [
    'https://evil.com',
    `${'x'.repeat(43)}:https://evil.com`,
    Buffer.from('https://evil.com').toString('base64url'),
  ]) {
    const res = await client().page(`/auth/callback?code=x&state=${encodeURIComponent(state)}`)
    assert.equal(res.headers.get('location'), null)
    assert.doesNotMatch(await res.text(), /evil\.com/)
  }
})

test('sign-out takes no address from the request (GHSA-35vc-w93w-75c2, CVE-2021-29651)', async () => {
  for (const name of ['return_to', 'post_logout_redirect_uri', 'redirect_uri', 'rd']) {
    const someone = await signIn()
    const token = someone.cookies.get('_csrf_token')?.value ?? ''
    const res = await someone.post(
      `/auth/logout?${name}=https://evil.com`,
      `csrf_token=${encodeURIComponent(token)}&${name}=https://evil.com`,
      {
        origin: HOME,
      },
    )
    assert.equal(res.status, 200)
    assert.doesNotMatch(await res.text(), /evil/)
  }
})

test('a login address adds nothing to what the provider is asked (CVE-2025-67716)', async () => {
  const asked = async (query: string): Promise<URLSearchParams> => {
    const res = await client().page(`/auth/login?return_to=/x${query}`)
    return new URL(res.headers.get('location') ?? '').searchParams
  }
  const names = [
    'scope',
    'audience',
    'resource',
    'redirect_uri',
    'client_id',
    'response_type',
    'response_mode',
    'request',
  ]
  const plain = await asked('')
  for (const more of [
    names.map((n) => `&${n}=evil`).join(''),
    `%26${names.join('=evil%26')}=evil`,
    encodeURIComponent(`?${names.join('=evil&')}=evil`),
  ]) {
    const got = await asked(more)
    for (const name of names) assert.deepEqual(got.getAll(name), plain.getAll(name), name)
    assert.equal(got.get('redirect_uri'), `${HOME}/auth/callback`)
  }
})
