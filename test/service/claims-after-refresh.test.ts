import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { startInstantProvider, type InstantProvider } from '../support/instant-provider.ts'
import { ORDERS, startService, type Service } from '../support/service.ts'
import type { Client } from '../support/client.ts'

let idp: InstantProvider
let s: Service
before(async () => {
  idp = await startInstantProvider()
  s = await startService({
    issuer: idp.issuer,
    settings: (x) => {
      x.auth['userinfo'] = 'never'
      x['service_tokens'] = { orders: { audience: ORDERS } }
    },
    routes: (r) =>
      r.routes.push({ id: 'staff', path: '/staff/*', target_service: 'orders', require: { groups: ['staff'] } }),
  })
})
after(async () => {
  await s.stop()
  idp.close()
})
beforeEach(async () => {
  idp.tokenAnswer = {
    access_token: await idp.sign({ aud: ORDERS }, { typ: 'at+jwt' }),
    refresh_token: 'r',
    expires_in: 300,
  }
})

async function signIn(groups: readonly string[]): Promise<Client> {
  idp.idClaims = { groups }
  return idp.signIn(s.client())
}

describe('claims that a refresh brings, with the service’s first token', () => {
  test('count for the very request that fetched it: a group that was taken away opens nothing any more', async () => {
    const client = await signIn(['staff', 'night'])
    idp.idClaims = { groups: ['night'] }
    const res = await s.verify('/staff/1', { client })
    assert.deepEqual([res.status, res.headers.get('x-bff-error')], [403, 'FORBIDDEN'])
    assert.equal(res.headers.get('authorization'), null)
  })

  test('are what the upstream is told', async () => {
    const client = await signIn(['staff', 'night'])
    idp.idClaims = { groups: ['staff'] }
    const res = await s.verify('/staff/1', { client })
    assert.deepEqual([res.status, res.headers.get('x-user-groups')], [200, 'staff'])
    assert.equal((await s.verify('/orders/1', { client })).headers.get('x-user-groups'), 'staff')
  })

  test('that make no difference cost the request nothing', async () => {
    const client = await signIn(['staff'])
    assert.equal((await s.verify('/staff/1', { client })).status, 200)
  })
})
