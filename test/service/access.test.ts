import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startBadProvider } from '../provider/bad-provider.ts'
import { startUpstream } from '../proxy/upstream.ts'
import { Client } from '../support/client.ts'
import { PUBLIC_HOST, startService, type Service } from '../support/service.ts'

const NAVIGATION = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', accept: 'text/html' }
const code = (res: Response): string | null => res.headers.get('x-bff-error')

describe('networks', () => {
  test('R23 is judged by the client’s address, and refuses where only the gateway’s own is seen', async () => {
    const s = await startService({
      routes: (r) =>
        r.routes.push({ id: 'inside', path: '/inside', require: { networks: ['127.0.0.0/8', '10.0.0.0/8'] } }),
    })
    try {
      const alice = await s.signIn()
      const from = (address: string | undefined): Promise<Response> =>
        s.verify('/inside', { client: alice, headers: address === undefined ? {} : { 'x-forwarded-for': address } })
      assert.equal((await from('10.1.2.3')).status, 200)
      assert.equal(code(await from('203.0.113.7')), 'FORBIDDEN')
      // The peer is 127.0.0.1, which the rule lets in: it is the gateway, and says nothing of its client.
      for (const silent of ['', ' ']) assert.equal(code(await from(silent)), 'FORBIDDEN', JSON.stringify(silent))
      const line = await s.waitForLog(
        (l) => l['msg'] === 'access_denied route=inside' && l['client_ip'] === '127.0.0.1',
      )
      assert.match(String(line['rule']), /who the client is/)
    } finally {
      await s.stop()
    }
  })
})

test('R23 networks refuse a private peer where no gateway is configured: it may be one, and everybody would come from it', async () => {
  const upstream = await startUpstream()
  const s = await startService({
    settings: (x) => (x.server['trusted_proxies'] = []),
    routes: (r) => {
      r.services['orders'] = { base_url: upstream.url }
      const route = { target_service: 'orders', upstream_path: '/', require: { networks: ['127.0.0.0/8'] } }
      r.routes.push({ id: 'inside', path: '/inside', ...route })
    },
  })
  try {
    const alice = await s.signIn(new Client(s.url, PUBLIC_HOST, 'host'))
    const res = await alice.get('/inside')
    assert.equal(code(res), 'FORBIDDEN')
    const line = await s.waitForLog((l) => l['msg'] === 'access_denied route=inside')
    assert.match(String(line['rule']), /who the client is/)
    assert.equal(upstream.seen.length, 0)
  } finally {
    await s.stop()
    await upstream.close()
  }
})

describe('max_age', () => {
  test('a session whose sign-in time nobody told steps up once, and then passes', async () => {
    const s = await startService({
      routes: (r) => r.routes.push({ id: 'fresh', path: '/fresh', require: { max_age: '5m' } }),
    })
    try {
      const alice = await s.signIn()
      assert.equal((await s.verify('/plain/1', { client: alice })).status, 200)
      const asked = await s.verify('/fresh', { client: alice, headers: NAVIGATION })
      assert.equal(asked.status, 302)
      const location = new URL(asked.headers.get('location') ?? '')
      assert.equal(location.searchParams.get('max_age'), '300')
      await s.signIn(alice, location.pathname + location.search)
      assert.equal((await s.verify('/fresh', { client: alice, headers: NAVIGATION })).status, 200)
    } finally {
      await s.stop()
    }
  })

  test('a provider that does not tell when the user signed in: 403, no circle and no gateway error', async () => {
    const bad = await startBadProvider()
    const s = await startService({ issuer: bad.issuer, settings: (x) => (x.auth['userinfo'] = 'never') })
    try {
      const back = async (asked: string, more: Record<string, unknown>): Promise<Response> => {
        const client = s.client()
        const start = await client.page(`/auth/login?return_to=/plain/1&${asked}`)
        const to = new URL(start.headers.get('location') ?? '').searchParams
        bad.on.set('/token', () => ({
          json: {
            access_token: 'opaque',
            token_type: 'Bearer',
            expires_in: 300,
            id_token: bad.idToken({ nonce: to.get('nonce'), ...more }),
          },
        }))
        return client.page(`/auth/callback?code=c&state=${to.get('state') ?? ''}`)
      }
      const now = Math.floor(Date.now() / 1000)
      const without = await back('max_age=300', {})
      assert.deepEqual([without.status, code(without)], [403, 'STEP_UP_REQUIRED'])
      const old = await back('max_age=300', { auth_time: now - 4000 })
      assert.deepEqual([old.status, code(old)], [403, 'STEP_UP_REQUIRED'])
      const weak = await back('acr_values=gold', { acr: 'silver' })
      assert.deepEqual([weak.status, code(weak)], [403, 'STEP_UP_REQUIRED'])
      assert.equal((await back('max_age=300', { auth_time: now - 20 })).status, 302)
      assert.equal((await back('acr_values=gold', { acr: 'gold' })).status, 302)
    } finally {
      await s.stop()
      await bad.close()
    }
  })

  test('a step-up that failed at the provider is still one when it is tried again', async () => {
    const s: Service = await startService()
    try {
      const client = s.client()
      const start = await client.page('/auth/login?return_to=/pay&acr_values=gold&max_age=60')
      const state = new URL(start.headers.get('location') ?? '').searchParams.get('state') ?? ''
      const iss = encodeURIComponent(s.provider.issuer)
      const failed = await client.page(`/auth/callback?error=access_denied&state=${state}&iss=${iss}`)
      assert.equal(code(failed), 'ACCESS_DENIED')
      assert.match(await failed.text(), /login\?return_to=[^"]*%2Fpay&#38;acr_values=gold&#38;max_age=60"/)
    } finally {
      await s.stop()
    }
  })
})
