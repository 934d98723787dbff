import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { adminDoor } from '../../middleware/endpoints/admin-door.ts'
import { secret } from '../../config/secret.ts'
import type { ServerSettings } from '../../config/types.ts'
import type { RawRequest } from '../../middleware/types.ts'
import { send } from '../support/client.ts'
import { BILLING, ORDERS, startService, type Service } from '../support/service.ts'

const CLI = join(import.meta.dirname, '..', '..', 'cli.ts')
const run = promisify(execFile)

interface Outcome {
  status: number
  code?: string
  step: string
  why?: string
}
interface Explained {
  route?: { id: string; over: { id: string; path: string; host?: string }[] }
  rules: { of: string; rule: string; holds: boolean }[]
  token?: Record<string, unknown>
  headers: [string, string][]
  csrf?: { mode: string; withoutProof: string }
  navigation: Outcome
  xhr: Outcome
}

let s: Service
before(async () => {
  s = await startService({
    settings: (x) =>
      Object.assign(x, {
        bearer_issuers: {
          partner: { issuer: 'https://partner.example.com', audience: ORDERS },
          other: { issuer: 'https://other.example.com', audience: ORDERS },
        },
        identity_headers: { assertion: { enabled: true } },
        service_tokens: {
          ...(x['service_tokens'] as object),
          strict: {
            audience: BILLING,
            scopes: ['api.read'],
            require: { acr: ['gold', 'silver'], max_age: '1h', scopes: ['api.write'] },
          },
          exchanged: { audience: BILLING, strategy: 'token_exchange' },
        },
      }),
    routes: (r) =>
      r.routes.push(
        { id: 'admin', path: '/orders/admin/*', target_service: 'orders', require: { groups: ['admins'] } },
        { id: 'pay', path: '/pay', require: { acr: ['gold'], max_age: '5m' } },
        { id: 'office', path: '/office', require: { networks: ['10.0.0.0/8'] } },
        {
          id: 'strict',
          path: '/strict',
          target_service: 'strict',
          require: { acr: ['gold'], scopes: ['api.read'], groups: ['staff'] },
        },
        { id: 'swapped', path: '/swapped', target_service: 'exchanged', bearer: ['partner'] },
        { id: 'robots', path: '/robots', target_service: 'orders', bearer: ['partner'] },
      ),
  })
})
after(() => s.stop())

async function ask(method: string, url: string, more: Record<string, string> = {}): Promise<Explained> {
  const res = await send(`${s.adminUrl}/explain?${new URLSearchParams({ method, url, ...more }).toString()}`)
  assert.equal(res.status, 200, await res.clone().text())
  return (await res.json()) as Explained
}
const brief = (o: Outcome): unknown[] => [o.status, o.code]

describe('explain', () => {
  test('tells which route won over which, each rule, the token without its value, the headers and what a browser and a program get', async () => {
    const e = await ask('GET', '/orders/admin/1?x=1', {
      as: 'alice',
      claims: '{"groups":["admins"],"email":"a@example.com"}',
    })
    assert.deepEqual([e.route?.id, e.route?.over], ['admin', [{ id: 'orders', path: '/orders/*' }]])
    assert.deepEqual(e.rules, [{ of: 'route', rule: 'groups: one of admins', holds: true }])
    assert.deepEqual([e.token?.['service'], e.token?.['audience']], ['orders', ORDERS])
    const headers = new Map(e.headers)
    assert.equal(headers.get('Authorization'), 'Bearer <token for orders>')
    assert.equal(headers.get('X-User-ID'), 'alice')
    assert.equal(headers.get('X-User-Email'), 'a@example.com')
    assert.deepEqual(
      [brief(e.navigation), brief(e.xhr)],
      [
        [200, undefined],
        [200, undefined],
      ],
    )
  })

  test('says the same as the decision: forbidden, step-up, CSRF, nobody, no route, a path that is not canonical', async () => {
    const bob = await ask('GET', '/orders/admin/1', { as: 'bob', claims: '{"groups":["staff"]}' })
    assert.deepEqual([brief(bob.xhr), bob.xhr.why], [[403, 'FORBIDDEN'], 'groups: one of admins'])
    assert.deepEqual(bob.headers, [])
    const pay = await ask('GET', '/pay', { as: 'alice' })
    assert.deepEqual(
      [brief(pay.navigation), brief(pay.xhr)],
      [
        [302, 'STEP_UP_REQUIRED'],
        [401, 'STEP_UP_REQUIRED'],
      ],
    )
    assert.match(pay.navigation.why ?? '', /acr_values=gold max_age=300/)
    const paid = await ask('GET', '/pay', { as: 'alice', claims: '{"acr":"gold"}' })
    assert.equal(paid.navigation.status, 200)
    const post = await ask('POST', '/orders/1', { as: 'alice' })
    assert.deepEqual([post.csrf, post.xhr.status], [{ mode: 'token', withoutProof: 'CSRF_FAILED' }, 200])
    const nobody = await ask('GET', '/orders/1')
    assert.deepEqual(
      [brief(nobody.navigation), brief(nobody.xhr)],
      [
        [302, 'NO_SESSION'],
        [401, 'NO_SESSION'],
      ],
    )
    const shut = await ask('GET', '/open/shut', { as: 'alice' })
    assert.deepEqual([shut.route?.id, shut.route?.over[0]?.id, brief(shut.xhr)], ['shut', 'open', [403, 'FORBIDDEN']])
    assert.deepEqual(brief((await ask('GET', '/nowhere', { as: 'alice' })).xhr), [403, 'NO_ROUTE'])
    assert.deepEqual(brief((await ask('GET', '/orders//1', { as: 'alice' })).xhr), [400, 'BAD_REQUEST'])
    assert.deepEqual(brief((await ask('GET', 'https://evil.example/orders/1')).xhr), [400, 'BAD_REQUEST'])
    assert.deepEqual(brief((await ask('GET', '/reports/1', { as: 'alice' })).xhr), [401, 'NO_TOKEN_AVAILABLE'])
    assert.equal((await ask('GET', '/open/x')).xhr.status, 200)
    assert.equal((await ask('GET', '/office', { as: 'alice', ip: '10.1.1.1' })).xhr.status, 200)
    assert.equal((await ask('GET', '/office', { as: 'alice', ip: '203.0.113.1' })).xhr.status, 403)
  })

  test('takes somebody whose issuer is a bearer issuer for a machine', async () => {
    const e = await ask('POST', '/robots', { as: 'robot', claims: '{"iss":"https://partner.example.com"}' })
    assert.equal(e.xhr.status, 200)
    assert.equal(new Map(e.headers).get('X-User-Issuer'), 'https://partner.example.com')
    assert.equal(new Map(e.headers).has('X-Session-ID'), false)
  })

  test('a machine is let in by the issuers of the route alone, with an audience of theirs, and no token that is none', async () => {
    const why = async (claims: object, path = '/robots'): Promise<unknown> => {
      const e = await ask('GET', path, { as: 'robot', claims: JSON.stringify(claims) })
      return e.xhr.status === 200 ? 200 : [e.xhr.code, e.xhr.why]
    }
    const iss = 'https://partner.example.com'
    assert.equal(await why({ iss, aud: [ORDERS, 'x'].slice(0, 1) }), 200)
    assert.deepEqual(await why({ iss: 'https://other.example.com' }), ['NO_SESSION', 'iss is no issuer of this route'])
    assert.deepEqual(await why({ iss, aud: 'x' }), ['NO_SESSION', 'aud has not the audience of this issuer'])
    assert.deepEqual(await why({ iss, exp: 1 }), ['NO_SESSION', 'expired'])
    assert.deepEqual(await why({ iss, nonce: 'n' }), ['NO_SESSION', 'nonce: this is no access token'])
    assert.match(String(await why({ iss }, '/swapped')), /NO_TOKEN_AVAILABLE,.*another issuer/)
  })

  test('each rule is its own, of the route or of the service, and is told whatever failed before it', async () => {
    const e = await ask('GET', '/strict', { as: 'alice', claims: '{"acr":"silver","scope":"api.read"}' })
    assert.deepEqual(
      e.rules.map((r) => [r.of, r.rule, r.holds]),
      [
        ['route', 'groups: one of staff', false],
        ['route', 'acr: one of gold', false],
        ['route', 'scopes: one of api.read', true],
        ['service', 'acr: one of gold, silver', true],
        ['service', 'max_age: 3600s', true],
        ['service', 'scopes: one of api.write', false],
      ],
    )
  })

  test('tells of the assertion, and takes any claims for what they are: data', async () => {
    const claims = JSON.stringify({
      sub: 'a\u0000\r\nX-Evil: 1',
      name: 'Zoë',
      email: { x: 1 },
      groups: [['n'], 7, null, 'ä,b', 'c'],
    })
    for (const text of [claims, claims.replace('{', '{"__proto__":{"acr":"gold"},"constructor":"x",')]) {
      const e = await ask('GET', '/orders/1', { claims: text })
      const headers = new Map(e.headers)
      assert.equal(headers.get('X-User-ID'), undefined)
      assert.equal(headers.get('X-User-Email'), undefined)
      assert.equal(headers.get('X-User-Groups'), '7,c')
      assert.equal(headers.get('X-User-Name'), 'Zoë')
      assert.equal(headers.get('X-Identity-Assertion'), '<assertion for orders>')
      assert.equal((await ask('GET', '/pay', { claims: text })).xhr.status, 401)
    }
  })

  test('refuses a foreign Host, and a question that is none', async () => {
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example'])
      assert.equal((await send(`${s.adminUrl}/explain?url=/`, { headers: { host } })).status, 403, host)
    for (const query of ['', 'url=/&claims=x', 'url=/&claims=[]', 'url=/&method=g t', 'url=/&ip=x'])
      assert.equal((await send(`${s.adminUrl}/explain?${query.replace(' ', '%20')}`)).status, 400, query)
  })

  test('off loopback wants server.admin_token, to the letter', () => {
    const from = (
      listen: string,
      authorization: string[],
      host = '10.0.0.5:4190',
      token?: string,
    ): number | undefined => {
      const lines: Record<string, string[]> = { host: [host], authorization }
      const server = {
        adminListen: { host: listen, port: 4190 },
        ...(token === '' ? {} : { adminToken: secret('a-long-token') }),
      } as unknown as ServerSettings
      return adminDoor({ all: (n: string) => lines[n] ?? [] } as unknown as RawRequest, server)?.status
    }
    assert.equal(from('127.0.0.1', []), undefined)
    assert.equal(from('::1', []), undefined)
    assert.equal(from('10.0.0.5', []), 401)
    assert.equal(from('10.0.0.5', ['Bearer a-long-tokem']), 401)
    assert.equal(from('10.0.0.5', ['Bearer a-long-token', 'Bearer a-long-token']), 401)
    assert.equal(from('10.0.0.5', ['Bearer a-long-token']), undefined)
    assert.equal(from('10.0.0.5', ['Bearer a-long-token'], 'evil.example'), 403)
    assert.equal(from('0.0.0.0', [], '127.0.0.1:4190'), 401)
    assert.equal(from('10.0.0.5', ['Bearer undefined'], '10.0.0.5:4190', ''), 401)
  })

  test('on the command line reads the config alone, and says no secret', async () => {
    const argv = [
      CLI,
      'explain',
      'GET',
      '/orders/admin/1',
      '--as',
      'bob',
      '--claims',
      '{"groups":["staff"]}',
      '--config',
      s.dir,
    ]
    const { stdout } = await run(process.execPath, argv)
    assert.match(stdout, /^route +admin \(\/orders\/admin\/\*, auth: session\), over orders \(\/orders\/\*\)$/m)
    assert.match(stdout, /^rule +FAILS +groups: one of admins/m)
    assert.match(stdout, /^xhr +403 FORBIDDEN at authorize: groups: one of admins$/m)
    const json = JSON.parse((await run(process.execPath, [...argv, '--json'])).stdout) as Explained
    assert.equal(json.route?.id, 'admin')
    assert.ok(!stdout.includes('demo-only'))
    const evil = [CLI, 'explain', 'GET', '/orders/1', '--as', 'a\u001b[2J\nxhr 200', '--config', s.dir]
    assert.doesNotMatch((await run(process.execPath, evil)).stdout, /\u001b|^xhr 200/m)
    const wrong = await run(process.execPath, [CLI, 'explain', 'GET']).catch((e: unknown) => e as { code: number })
    assert.equal((wrong as { code: number }).code, 2)
  })
})
