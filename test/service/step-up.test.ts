import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { startInstantProvider, type InstantProvider } from '../support/instant-provider.ts'
import { startService, type Service } from '../support/service.ts'
import type { Client } from '../support/client.ts'

const NAVIGATION = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', accept: 'text/html' }

let idp: InstantProvider
let s: Service
let alice: Client
before(async () => {
  idp = await startInstantProvider()
  s = await startService({
    issuer: idp.issuer,
    routes: (r) =>
      r.routes.push(
        { id: 'pay', path: '/pay/*', csrf: 'off', require: { acr: ['urn:gold', 'urn:silver'] } },
        { id: 'admin', path: '/admin/*', require: { groups: ['admins'] } },
      ),
  })
})
after(async () => {
  await s.stop()
  idp.close()
})
beforeEach(async () => {
  idp.idClaims = { acr: 'urn:bronze', name: 'Alice <b>Doe</b>', groups: ['staff'] }
  alice = await idp.signIn(s.client())
})

const stepUp = (headers: Record<string, string>, method = 'GET'): Promise<Response> =>
  s.verify('/pay/7?a=b&c=%C3%A4', { client: alice, method, headers })
const code = (res: Response): string | null => res.headers.get('x-bff-error')

/** As the browser goes: our login, the provider, our callback. */
async function through(location: string): Promise<{ asked: URLSearchParams; done: Response }> {
  const url = new URL(location)
  const start = await alice.page(url.pathname + url.search)
  const at = new URL(start.headers.get('location') ?? '')
  const back = new URL((await fetch(at, { redirect: 'manual' })).headers.get('location') ?? '')
  return { asked: at.searchParams, done: await alice.page(back.pathname + back.search) }
}

describe('R23 step-up', () => {
  test('a navigation signs in again with the acr values in their order, and comes back to where it was', async () => {
    const res = await stepUp(NAVIGATION)
    assert.deepEqual([res.status, code(res)], [302, 'STEP_UP_REQUIRED'])
    idp.idClaims = { acr: 'urn:silver' }
    const { asked, done } = await through(res.headers.get('location') ?? '')
    assert.equal(asked.get('acr_values'), 'urn:gold urn:silver')
    assert.equal(new URL(done.headers.get('location') ?? '', 'http://localhost:8000').pathname, '/pay/7')
    assert.match(done.headers.get('location') ?? '', /\/pay\/7\?a=b&c=%C3%A4$/)
    assert.equal((await stepUp(NAVIGATION)).status, 200)
    assert.equal((await stepUp({}, 'POST')).status, 200)
  })

  test('whoever cannot go anywhere is told what is missing: 401 with a challenge', async () => {
    const frame = { ...NAVIGATION, 'sec-fetch-dest': 'iframe' }
    const prefetch = { ...NAVIGATION, 'sec-purpose': 'prefetch;prerender' }
    const xhr = { accept: 'application/json', 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-origin' }
    for (const [headers, method] of [
      [frame, 'GET'],
      [prefetch, 'GET'],
      [xhr, 'GET'],
      [xhr, 'POST'],
      [NAVIGATION, 'POST'],
      [{}, 'PUT'],
    ] as const) {
      const res = await stepUp(headers, method)
      assert.deepEqual([res.status, code(res)], [401, 'STEP_UP_REQUIRED'])
      assert.equal(
        res.headers.get('www-authenticate'),
        'Bearer error="insufficient_user_authentication", error_description="A stronger or fresher sign-in is required", acr_values="urn:gold urn:silver"',
      )
      assert.equal(res.headers.get('location'), null)
    }
  })

  test('who comes back no stronger gets a 403, and is signed in as before', async () => {
    const { done } = await through((await stepUp(NAVIGATION)).headers.get('location') ?? '')
    assert.equal(done.status, 403)
    assert.equal(code(done), 'STEP_UP_REQUIRED')
    assert.equal(done.headers.get('location'), null)
    assert.equal((await s.verify('/plain/1', { client: alice })).status, 200)
  })

  test('another user at the provider is not the one who asked', async () => {
    const res = await stepUp(NAVIGATION)
    idp.idClaims = { acr: 'urn:gold', sub: 'mallory' }
    await through(res.headers.get('location') ?? '')
    const now = await s.verify('/plain/1', { client: alice })
    assert.ok(now.status !== 200 || now.headers.get('x-user-id') === 'mallory', 'never alice with a sign-in of mallory')
    const paid = await stepUp(NAVIGATION)
    assert.ok(paid.status !== 200 || paid.headers.get('x-user-id') === 'mallory')
  })
})

test('a 403 page says who one is and offers to sign out, and nothing of the rule; the log says route and rule', async () => {
  const res = await s.verify('/admin/1', { client: alice, headers: NAVIGATION })
  assert.deepEqual([res.status, code(res)], [403, 'FORBIDDEN'])
  const page = await res.text()
  assert.match(page, /Signed in as .*Alice &#60;b&#62;Doe/)
  assert.doesNotMatch(page, /<b>/)
  assert.match(page, /\/auth\/logout/)
  assert.doesNotMatch(page, /admins/)
  const line = await s.waitForLog((l) => l['msg'] === 'access_denied route=admin')
  assert.deepEqual([line['rule'], line['sub'], line['issuer']], ['groups: one of admins', 'alice', idp.issuer])
  const problem = (await (await s.verify('/admin/1', { client: alice })).json()) as Record<string, unknown>
  assert.equal(problem['code'], 'FORBIDDEN')
  assert.doesNotMatch(JSON.stringify(problem), /admins|urn:bronze/)
})
