import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { decodeJwt } from 'jose'
import { startRealProvider, type RealProvider } from '../provider/real-provider.ts'
import { BILLING, ORDERS, startService, type Service } from '../support/service.ts'

const CLIENTS = [
  {
    client_id: 'robot',
    client_secret: 'demo-only-robot-secret',
    redirect_uris: [],
    response_types: [],
    grant_types: ['client_credentials'],
  },
] as const

let partner: RealProvider
let s: Service

/** The same issuer, with keys of its own each time. */
async function startPartner(kid: string, port?: number): Promise<RealProvider> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }
  return startRealProvider({
    clients: CLIENTS.map((c) => ({ ...c, redirect_uris: [], response_types: [], grant_types: [...c.grant_types] })),
    configuration: { jwks: { keys: [key] } },
    ...(port === undefined ? {} : { port }),
  })
}

async function tokenFor(resource: string, scope = 'api.read', at: RealProvider = partner): Promise<string> {
  const [id, key] = at === partner ? ['robot', 'demo-only-robot-secret'] : ['bff-m2m', 'demo-only-machine-secret']
  const res = await fetch(`${at.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${id}:${key}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource, scope }),
  })
  const { access_token: token } = (await res.json()) as { access_token?: string }
  assert.ok(token !== undefined)
  return token
}

const as = (token: string): { headers: Record<string, string> } => ({ headers: { authorization: `Bearer ${token}` } })
const code = (res: Response): string | null => res.headers.get('x-bff-error')

before(async () => {
  partner = await startPartner('first')
  s = await startService({
    settings: (x) => {
      Object.assign(x, {
        bearer_issuers: {
          partner: { issuer: partner.issuer, audience: ORDERS },
          own: { issuer: x.auth['issuer'], audience: ORDERS },
        },
        clients: { machine: { client_id: 'bff-m2m', client_secret: 'demo-only-machine-secret' } },
      })
      Object.assign((x as unknown as { service_tokens: object }).service_tokens, {
        batch: { audience: BILLING, scopes: ['api.read'], strategy: 'client_credentials', client: 'machine' },
        exchanged: { audience: BILLING, strategy: 'token_exchange' },
      })
    },
    routes: (r) => {
      const bearer = ['partner']
      r.routes.push(
        { id: 'm-orders', path: '/m/orders/*', target_service: 'orders', bearer },
        { id: 'm-billing', path: '/m/billing/*', target_service: 'billing', bearer },
        { id: 'm-batch', path: '/m/batch/*', target_service: 'batch', bearer },
        { id: 'm-exchanged', path: '/m/exchanged/*', target_service: 'exchanged', bearer },
        { id: 'm-plain', path: '/m/plain/*', bearer },
        { id: 'm-all', path: '/m/all/*', bearer: ['partner', 'own'], require: { scopes: ['application.all'] } },
        { id: 'm-robots', path: '/m/robots/*', bearer, require: { claims: { client_id: 'robot' } } },
        { id: 'm-group', path: '/m/group/*', bearer, require: { groups: ['staff'] } },
        { id: 'm-strong', path: '/m/strong/*', bearer, require: { acr: ['gold'] } },
      )
    },
  })
})
after(async () => {
  await s.stop()
  await partner.close()
})

describe('a machine caller', () => {
  test('comes in with its own token where the route names its issuer: identity headers, no session, no CSRF token asked', async () => {
    const token = await tokenFor(ORDERS)
    for (const method of ['GET', 'POST', 'DELETE']) {
      const res = await s.verify('/m/orders/1', { ...as(token), method })
      assert.equal(res.status, 200, method)
      assert.equal(res.headers.get('authorization'), `Bearer ${token}`)
      assert.equal(res.headers.get('x-user-id'), decodeJwt(token).sub)
      assert.equal(res.headers.get('x-user-issuer'), partner.issuer)
      assert.equal(res.headers.get('x-session-id'), null)
      assert.deepEqual(res.headers.getSetCookie(), [])
    }
  })

  test('sends its own token only where that is for the service, gets a machine token where the service has one', async () => {
    const token = await tokenFor(ORDERS)
    const other = await s.verify('/m/billing/1', as(token))
    assert.deepEqual([other.status, code(other)], [401, 'NO_TOKEN_AVAILABLE'])
    const batch = await s.verify('/m/batch/1', as(token))
    assert.equal(batch.status, 200)
    const sent = decodeJwt((batch.headers.get('authorization') ?? '').replace('Bearer ', ''))
    assert.deepEqual([sent.aud, sent['client_id']], [BILLING, 'bff-m2m'])
  })

  test('of a foreign issuer is not exchanged at our provider, which nobody told to', async () => {
    const res = await s.verify('/m/exchanged/1', as(await tokenFor(ORDERS)))
    assert.equal(code(res), 'NO_TOKEN_AVAILABLE')
    const line = await s.waitForLog((l) => l['msg'] === 'NO_TOKEN_AVAILABLE service=exchanged')
    assert.match(String(line['reason']), /another issuer/)
  })

  test('keeps its Authorization on a route without a service', async () => {
    const token = await tokenFor(ORDERS)
    assert.equal((await s.verify('/m/plain/1', as(token))).headers.get('authorization'), `Bearer ${token}`)
  })

  test('is held to the rules: scopes, claims, groups, sign-in strength; a refusal is told with issuer and subject', async () => {
    const [read, all] = [await tokenFor(ORDERS), await tokenFor(ORDERS, 'application.all')]
    assert.equal(code(await s.verify('/m/all/1', as(read))), 'FORBIDDEN')
    assert.equal((await s.verify('/m/all/1', as(all))).status, 200)
    assert.equal((await s.verify('/m/robots/1', as(read))).status, 200)
    for (const path of ['/m/group/1', '/m/strong/1']) assert.equal(code(await s.verify(path, as(read))), 'FORBIDDEN')
    const line = await s.waitForLog((l) => l['msg'] === 'access_denied route=m-group')
    assert.deepEqual([line['issuer'], line['sub']], [partner.issuer, decodeJwt(read).sub])
  })

  test('with a token that is not good is 401 with a challenge, whatever cookie it brings and however it waits', async () => {
    const alice = await s.signIn()
    const good = await tokenFor(ORDERS)
    const [head = '', body = '', mac = ''] = good.split('.')
    const bad = {
      'another audience': await tokenFor(BILLING),
      'an issuer that the route does not name': await tokenFor(ORDERS, 'api.read', s.provider),
      'a broken signature': `${head}.${body}.${mac.startsWith('A') ? 'B' : 'A'}${mac.slice(1)}`,
      'no JWT': 'opaque',
      nothing: '',
      'no token at all': 'a b',
      'no signature': `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`,
    }
    for (const [what, token] of Object.entries(bad)) {
      for (const headers of [{}, { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', accept: 'text/html' }]) {
        const res = await s.verify('/m/plain/1', {
          client: alice,
          headers: { authorization: `Bearer ${token}`, ...headers },
        })
        assert.deepEqual([res.status, code(res)], [401, 'NO_SESSION'], what)
        assert.match(res.headers.get('www-authenticate') ?? '', /^Bearer error="invalid_token"/)
        assert.ok(!(await res.text()).includes('/auth/login'), what)
      }
    }
    await s.waitForLog((l) => l['msg'] === 'bearer_rejected route=m-plain')
    assert.ok(!JSON.stringify(s.logs).includes(body), 'no token in a log')
  })

  test('may be a user beside it: with a cookie and no bearer, or another scheme, the session counts', async () => {
    const alice = await s.signIn()
    assert.equal((await s.verify('/m/orders/1', { client: alice })).headers.get('x-user-id'), 'alice')
    const basic = await s.verify('/m/plain/1', { client: alice, headers: { authorization: 'Basic YTpi' } })
    assert.deepEqual([basic.status, basic.headers.get('authorization')], [200, null])
    const none = await s.verify('/m/plain/1')
    assert.deepEqual([none.status, none.headers.get('www-authenticate')], [401, 'Bearer'])
  })

  test('is nobody on a route that names no issuer', async () => {
    const token = await tokenFor(ORDERS)
    assert.equal(code(await s.verify('/orders/1', as(token))), 'NO_SESSION')
    const alice = await s.signIn()
    const res = await s.verify('/plain/1', { client: alice, ...as(token) })
    assert.deepEqual([res.headers.get('x-user-id'), res.headers.get('authorization')], ['alice', null])
  })

  test('of an issuer that is away is 503 only where nobody can tell, and new keys are found at once', async () => {
    const seen = await tokenFor(ORDERS)
    assert.equal((await s.verify('/m/plain/1', as(seen))).status, 200)
    const unseen = await tokenFor(ORDERS)
    const port = Number(new URL(partner.issuer).port)
    await partner.close()
    const expired = `${seen.split('.')[0]}.${Buffer.from(JSON.stringify({ iss: partner.issuer, exp: 1 })).toString('base64url')}.AAAA`
    assert.equal((await s.verify('/m/plain/1', as(seen))).status, 200)
    // Its keys are at hand, so that this one can be judged as well.
    assert.equal((await s.verify('/m/plain/1', as(unseen))).status, 200)
    assert.equal((await s.verify('/m/plain/1', as(expired))).status, 401)
    partner = await startPartner('second', port)
    const rotated = await tokenFor(ORDERS)
    await partner.close()
    const down = await s.verify('/m/plain/1', as(rotated))
    assert.deepEqual([down.status, code(down)], [503, 'PROVIDER_UNAVAILABLE'])
    assert.ok(Number(down.headers.get('retry-after')) > 0)
    partner = await startPartner('third', port)
    assert.equal((await s.verify('/m/plain/1', as(await tokenFor(ORDERS)))).status, 200)
  })
})
