import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startUpstream, type Upstream } from '../proxy/upstream.ts'
import type { Client } from '../support/client.ts'
import { ORIGIN, startService, type Service } from '../support/service.ts'

let up: Upstream
let s: Service
let alice: Client
before(async () => {
  up = await startUpstream()
  s = await startService({
    routes: (r) => {
      r.services['orders'] = { base_url: up.url }
      const proxied = { target_service: 'orders', upstream_path: '/v1/{path}' }
      r.routes.push(
        { id: 'read', path: '/items/*', methods: ['GET', 'HEAD', 'POST'] },
        { id: 'write', path: '/items/*', methods: ['DELETE', 'PUT'], require: { groups: ['admins'] } },
        { id: 'api-read', path: '/api/items/*', methods: ['GET', 'POST'], ...proxied },
        { id: 'api-write', path: '/api/items/*', methods: ['DELETE'], require: { groups: ['admins'] }, ...proxied },
        { id: 'open-read', path: '/open/items/*', methods: ['GET'], auth: 'public' },
      )
    },
  })
  alice = await s.signIn()
})
after(async () => {
  await s.stop()
  await up.close()
})

const token = (): Record<string, string> => ({
  'x-csrf-token': alice.cookies.get('_csrf_token')?.value ?? '',
  origin: ORIGIN,
})

describe('a method that a header would have the upstream take instead', () => {
  for (const name of ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'])
    test(`${name} leads past no rule of another method, on a check and through the proxy`, async () => {
      for (const value of ['DELETE', 'delete', ' Delete ', 'PATCH', 'GET, DELETE', 'TRACE', ''])
        for (const method of ['GET', 'POST']) {
          const headers = { ...token(), [name]: value }
          const check = await s.verify('/items/1', { client: alice, method, headers })
          assert.deepEqual([check.status, check.headers.get('x-bff-error')], [400, 'BAD_REQUEST'], `${method} ${value}`)
          const proxied = await alice.get('/api/items/1', headers, { method })
          assert.deepEqual([proxied.status, proxied.headers.get('x-bff-error')], [400, 'BAD_REQUEST'])
        }
      const open = await s.verify('/open/items/1', { headers: { [name]: 'DELETE' } })
      assert.equal(open.status, 400)
      assert.equal(up.seen.length, 0)
    })

  test('makes a GET no safe one: the CSRF token is wanted', async () => {
    const at = async (headers: Record<string, string>): Promise<number> =>
      (await s.verify('/orders/1', { client: alice, headers: { 'x-http-method-override': 'DELETE', ...headers } }))
        .status
    assert.equal(await at({}), 403)
    assert.equal(await at(token()), 200)
  })

  test('passes where it is for the same route', async () => {
    const headers = { ...token(), 'x-http-method-override': 'PUT' }
    assert.equal((await s.verify('/orders/1', { client: alice, method: 'POST', headers })).status, 200)
  })
})
