import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { isSharedAddress, clientAddress, readCookies } from '../../middleware/mouths/request-headers.ts'
import type { Client } from '../support/client.ts'
import { send } from '../support/client.ts'
import { raw } from '../support/raw.ts'
import { ORIGIN, PUBLIC_HOST, startService, type Service } from '../support/service.ts'

let s: Service
let alice: Client
before(async () => {
  s = await startService({
    settings: (base) => {
      base['limits'] = { login: '2/m' }
    },
  })
  alice = await s.signIn()
})
after(() => s.stop())

const code = (res: Response): string | null => res.headers.get('x-bff-error')

describe('the client address (CVE-2024-47070, CVE-2024-24790, CVE-2026-57210)', () => {
  const of = (value: string, trusted = true, hops = 1): string =>
    clientAddress(raw('/', value === '' ? [] : [['x-forwarded-for', value]]), trusted, {
      header: 'X-Forwarded-For',
      hops,
    })

  test('is read whole in every form that proxies write', () => {
    for (const [value, address] of [
      ['203.0.113.7', '203.0.113.7'],
      ['203.0.113.7:4711', '203.0.113.7'],
      ['2001:db8::1', '2001:db8::1'],
      ['2001:db8:0:1::25', '2001:db8:0:1::25'],
      ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
      ['[2001:db8::1]:443', '2001:db8::1'],
      ['[2001:db8::1]', '2001:db8::1'],
      ['fe80::1%eth0', 'fe80::1'],
      ['::ffff:203.0.113.7', '203.0.113.7'],
      ['::ffff:cb00:7107', '203.0.113.7'],
      ['198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ] as const)
      assert.equal(of(value), address, value)
  })

  test('is the peer own where the header holds no address, or too few hops', () => {
    for (const value of [
      'a',
      '999.1.1.1',
      'x'.repeat(20),
      '1.2.3',
      '',
      ',',
      'unknown',
      '2001:db8:',
      '203.0.113.7, a',
      '::%eth0::',
    ])
      assert.equal(of(value), '127.0.0.1', value)
    assert.equal(of('203.0.113.7', true, 2), '127.0.0.1')
  })

  test('is never read from a stranger', () => {
    assert.equal(of('203.0.113.7', false), '127.0.0.1')
  })

  test('is known to be shared where a believed peer forwards without saying for whom', () => {
    const at = { header: 'X-Forwarded-For', hops: 1 }
    const host = ['x-forwarded-host', 'app'] as const
    assert.equal(isSharedAddress(raw('/', [host]), true, at), true)
    assert.equal(isSharedAddress(raw('/', [host, ['x-forwarded-for', 'a']]), true, at), true)
    assert.equal(isSharedAddress(raw('/', [host, ['x-forwarded-for', '203.0.113.7']]), true, at), false)
    assert.equal(isSharedAddress(raw('/', []), true, at), false, 'it asks for itself')
    assert.equal(isSharedAddress(raw('/', [host]), false, at), false)
  })
})

describe('a limit per address', () => {
  const start = (more: Record<string, string>): Promise<Response> => s.client().page('/auth/login', more)

  test('throttles nobody where the gateway does not say who asks, and that is logged once', async () => {
    for (const value of [undefined, 'a', 'b', '999.1.1.1', undefined, undefined])
      assert.equal((await start(value === undefined ? {} : { 'x-forwarded-for': value })).status, 302)
    const said = s.logs.filter((l) => l['msg'] === 'client_address_unknown peer=127.0.0.1')
    assert.equal(said.length, 1)
  })

  test('counts IPv6 by /64, which one subscriber has to itself', async () => {
    const from = async (ip: string): Promise<number> => (await start({ 'x-forwarded-for': ip })).status
    assert.equal(await from('2001:db8:1:2::1'), 302)
    assert.equal(await from('2001:db8:1:2:ffff::1'), 302)
    assert.equal(await from('[2001:db8:1:2:a:b:c:d]:80'), 429)
    assert.equal(await from('2001:db8:1:3::1'), 302)
    assert.equal(await from('2001:db8::1'), 302)
  })
})

describe('an alias of a name of ours on a check', () => {
  for (const alias of [
    'X_CSRF_Token',
    'X_User_ID',
    'x.user.id',
    'X~Session~ID',
    'X-User_Email',
    'X_Forwarded_Proto',
    'X_Real_Ip',
  ]) {
    test(`${alias} is refused, on a session route and on a public one (CVE-2025-64484, CVE-2026-39858)`, async () => {
      for (const uri of ['/orders/1', '/open/1']) {
        const res = await s.verify(uri, { client: alice, headers: { [alias]: 'mallory' } })
        assert.deepEqual([res.status, code(res)], [400, 'BAD_REQUEST'])
      }
    })
  }

  test('while the exact names, which Traefik deletes, and foreign ones pass', async () => {
    const headers = {
      'X-User-ID': 'mallory',
      'X-Original-User': 'mallory',
      'X-App_Version': '1',
      'x-real-ip': '1.2.3.4',
    }
    const res = await s.verify('/orders/1', { client: alice, headers })
    assert.equal(res.status, 200)
    assert.equal(res.headers.get('x-user-id'), 'alice')
  })
})

describe('a header of the CSRF checks that comes twice (CVE-2020-25017)', () => {
  for (const name of ['origin', 'sec-fetch-site', 'sec-fetch-mode', 'sec-fetch-dest', 'x-csrf-token']) {
    test(`${name} is refused`, async () => {
      const cookie = alice.header('/auth')
      const headers = {
        'x-forwarded-method': 'POST',
        'x-forwarded-proto': 'http',
        'x-forwarded-host': PUBLIC_HOST,
        'x-forwarded-uri': '/plain/1',
        cookie,
        [name]: [ORIGIN, ORIGIN],
      }
      const check = await send(`${s.url}/auth/verify`, { headers })
      assert.deepEqual([check.status, code(check)], [400, 'BAD_REQUEST'])
      const endpoint = await send(`${s.url}/auth/logout`, {
        method: 'POST',
        headers: { 'x-forwarded-host': PUBLIC_HOST, cookie, [name]: [ORIGIN, ORIGIN] },
      })
      assert.deepEqual([endpoint.status, code(endpoint)], [400, 'BAD_REQUEST'])
      assert.equal((await s.verify('/orders/1', { client: alice })).status, 200, 'the session lives')
    })
  }

  test('and two values on one line are nobody own', async () => {
    const res = await s.verify('/plain/1', {
      client: alice,
      method: 'POST',
      headers: { 'sec-fetch-site': 'same-origin, cross-site' },
    })
    assert.deepEqual([res.status, code(res)], [403, 'CSRF_FAILED'])
  })
})

describe('the session cookie in a spelling that another parser would take for it', () => {
  for (const line of [
    'theme=a, bff_session=SECRET',
    '"bff_session"=SECRET',
    "'bff_session'=SECRET",
    '$Version=1; bff_session=SECRET; $Path=/',
    'BFF_SESSION=SECRET',
    '__Host-bff_session=SECRET',
    'a="x, bff_session=SECRET"',
    'a=1,"bff_session"=SECRET',
    'a=1,_csrf_token=SECRET',
    'a=1\tbff_login_x=SECRET',
  ]) {
    test(`${JSON.stringify(line)} never leaves for an upstream`, () => {
      const read = readCookies([line], 'bff_session')
      assert.ok(read !== 'too_large')
      assert.doesNotMatch(read.forUpstream, /SECRET/)
    })
  }

  test('while what only looks a little like it goes on', () => {
    for (const line of ['theme=a,b', 'x="1 2"', 'note=bff_session', 'my_bff_session=1', 'q="a=b, c=d"'])
      assert.deepEqual(readCookies([line], 'bff_session'), { session: [], forUpstream: line })
  })
})
