import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { decodeJwt } from 'jose'
import { createVerifier } from '../../docs/examples/verify-assertion.ts'
import { startUpstream, echo, type Upstream } from '../proxy/upstream.ts'
import { send, type Sent } from '../support/client.ts'
import { startInstantProvider, type InstantProvider } from '../support/instant-provider.ts'
import { BILLING, ORDERS, ORIGIN, PUBLIC_HOST, startService, type Service } from '../support/service.ts'

let idp: InstantProvider
let api: Upstream
let s: Service
let exchanges = 0

before(async () => {
  ;[idp, api] = await Promise.all([startInstantProvider(), startUpstream()])
  idp.beforeToken = () => {
    exchanges += 1
    return Promise.resolve()
  }
  s = await startService({
    issuer: idp.issuer,
    settings: (x) =>
      Object.assign(x, {
        bearer_issuers: { house: { issuer: idp.issuer, audience: ORDERS } },
        identity_headers: { assertion: { enabled: true, claims: ['team', 'groups'] }, map: { 'X-Team': 'team' } },
        service_tokens: {
          orders: { audience: ORDERS },
          exchanged: { audience: BILLING, strategy: 'token_exchange' },
          assertion: { audience: BILLING, strategy: 'jwt_bearer', identity_headers: ['X-Identity-Assertion'] },
        },
      }),
    routes: (r) => {
      const bearer = ['house']
      for (const name of ['orders', 'exchanged', 'assertion']) {
        r.services[name] = { base_url: api.url }
        const path = `/p/${name}/*`
        r.routes.push(
          { id: `p-${name}`, path, target_service: name, bearer, upstream_path: '/up/{path}' },
          { id: `h-${name}`, path: `/h/${name}/*`, target_service: name, bearer },
        )
      }
    },
  })
})
after(async () => {
  await s.stop()
  await api.close()
  idp.close()
})
beforeEach(async () => {
  exchanges = 0
  api.answer = echo
  idp.tokenAnswer = {
    access_token: await idp.sign({ aud: BILLING, sub: 'robot', for: 'exchanged' }, { typ: 'at+jwt' }),
  }
})

let n = 0
/** Each test's own: what was exchanged before is remembered. */
const tokenOf = (claims: Record<string, unknown> = {}): Promise<string> =>
  idp.sign({ aud: ORDERS, sub: `robot-${n++}`, team: 'night', groups: ['robots'], ...claims }, { typ: 'at+jwt' })
const proxied = (path: string, token: string, o: Sent = {}): Promise<Response> =>
  send(s.url + path, { ...o, headers: { host: PUBLIC_HOST, authorization: `Bearer ${token}`, ...o.headers } })

interface Echo {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
}

describe('a machine caller through the proxy', () => {
  test('brings its own token where that is for the service, and the headers that header mode would set', async () => {
    const token = await tokenOf()
    const res = await proxied('/p/orders/1?x=1', token, { headers: { 'x-user-id': 'mallory' } })
    assert.equal(res.status, 200)
    const got = (await res.json()) as Echo
    assert.equal(got.url, '/up/1?x=1')
    assert.equal(got.headers['authorization'], `Bearer ${token}`)
    const header = await s.verify('/h/orders/1', { headers: { authorization: `Bearer ${token}` } })
    for (const name of ['x-user-id', 'x-user-groups', 'x-team', 'x-user-issuer', 'x-session-id', 'authorization'])
      assert.equal(got.headers[name] ?? null, header.headers.get(name), name)
    assert.equal(got.headers['x-user-id'], decodeJwt(token).sub)
    assert.equal(exchanges, 0)
  })

  test('writes without a CSRF token, a body and all', async () => {
    const o = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }
    assert.equal((await proxied('/p/orders/1', await tokenOf(), o)).status, 200)
    assert.equal((await proxied('/p/orders/1', 'x', o)).status, 401)
  })

  for (const name of ['exchanged', 'assertion']) {
    test(`${name}: its token is exchanged once for many requests, and its own stays here`, async () => {
      const token = await tokenOf()
      const all = await Promise.all([...Array(8).keys()].map((i) => proxied(`/p/${name}/${i}`, token)))
      for (const res of all) {
        assert.equal(res.status, 200)
        const text = await res.text()
        assert.ok(!text.includes(token))
        assert.equal(decodeJwt((JSON.parse(text) as Echo).headers['authorization']?.slice(7) ?? '')['for'], 'exchanged')
      }
      const header = await s.verify(`/h/${name}/1`, { headers: { authorization: `Bearer ${token}` } })
      assert.equal(decodeJwt(header.headers.get('authorization')?.slice(7) ?? '')['for'], 'exchanged')
      assert.equal(exchanges, 1)
    })
  }

  test('an upstream’s 401 to an exchanged token is one more exchange; to the caller’s own it is the caller’s', async () => {
    api.answer = (_req, res) => res.writeHead(401, { 'www-authenticate': 'Bearer' }).end('no')
    const exchanged = await proxied('/p/exchanged/1', await tokenOf())
    assert.deepEqual([exchanged.status, exchanged.headers.get('x-bff-error')], [401, 'UPSTREAM_REJECTED_TOKEN'])
    assert.equal(exchanges, 2)
    const own = await proxied('/p/orders/1', await tokenOf())
    assert.deepEqual([own.status, await own.text()], [401, 'no'])
  })

  test('a provider that refuses the exchange is NO_TOKEN_AVAILABLE, and is told why', async () => {
    idp.tokenAnswer = { access_token: await idp.sign({ aud: ORDERS }, { typ: 'at+jwt' }) }
    const res = await proxied('/p/exchanged/1', await tokenOf())
    assert.deepEqual([res.status, res.headers.get('x-bff-error')], [401, 'NO_TOKEN_AVAILABLE'])
    const line = await s.waitForLog((l) => l['msg'] === 'NO_TOKEN_AVAILABLE service=exchanged')
    assert.match(String(line['reason']), /wrong token: audience/)
  })
})

describe('the assertion of a machine', () => {
  test('says whose it is, for which service, until its token ends at the latest, and of no session', async () => {
    const exp = Math.floor(Date.now() / 1000) + 20
    const token = await tokenOf({ exp, acr: 'gold', iss_sub: 'x', email: 'r@example.com' })
    const verify = createVerifier(new URL(`${s.url}/auth/jwks`), { issuer: ORIGIN, audience: ORDERS })
    for (const jwt of [
      (await s.verify('/h/orders/1', { headers: { authorization: `Bearer ${token}` } })).headers.get(
        'x-identity-assertion',
      ),
      ((await (await proxied('/p/orders/1', token)).json()) as Echo).headers['x-identity-assertion'],
    ]) {
      const { iat, ...claims } = await verify(jwt ?? undefined)
      assert.ok(Number.isInteger(iat))
      assert.deepEqual(claims, {
        iss: ORIGIN,
        aud: ORDERS,
        sub: decodeJwt(token).sub,
        exp,
        idp_iss: idp.issuer,
        team: 'night',
        groups: ['robots'],
      })
    }
  })

  test('a service with a list of its own learns from it no more than from its headers', async () => {
    const res = await s.verify('/h/assertion/1', { headers: { authorization: `Bearer ${await tokenOf()}` } })
    assert.equal(res.headers.get('x-user-id'), null)
    const claims = decodeJwt(res.headers.get('x-identity-assertion') ?? '')
    assert.equal(claims.aud, BILLING)
    assert.deepEqual([claims['team'], claims['groups']], [undefined, undefined])
  })
})
