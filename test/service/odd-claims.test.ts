import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { decodeJwt } from 'jose'
import { echo, startUpstream, type Upstream } from '../proxy/upstream.ts'
import type { Client } from '../support/client.ts'
import { startInstantProvider, type InstantProvider } from '../support/instant-provider.ts'
import { startService, type Service } from '../support/service.ts'

let idp: InstantProvider
let api: Upstream
let s: Service

before(async () => {
  ;[idp, api] = await Promise.all([startInstantProvider(), startUpstream()])
  api.answer = echo
  s = await startService({
    issuer: idp.issuer,
    settings: (x) =>
      Object.assign(x, {
        service_tokens: {},
        identity_headers: {
          map: {
            'X-Dotted': 'a\\.b.c\\.d',
            'X-Url': 'https://app.example.com/roles',
            'X-Number': 'n',
            'X-Zero': 'zero',
            'X-Big': 'big',
            'X-True': 'yes',
            'X-False': 'no',
            'X-Null': 'nothing',
            'X-Object': 'object',
            'X-Empty': 'empty',
            'X-Blank': 'blank',
            'X-Mixed': 'mixed',
            'X-Deep': 'teams.members.name',
          },
          assertion: { enabled: true, claims: ['groups', 'object', 'n', 'no', 'nothing', 'empty', 'huge'] },
        },
      }),
    routes: (r) => {
      r.services['api'] = { base_url: api.url }
      r.routes.push(
        { id: 'odd', path: '/odd/*' },
        { id: 'g', path: '/g/*', require: { groups: ['Zürich 🌍'] } },
        { id: 'n1', path: '/n/one', require: { claims: { n: 1 } } },
        { id: 'n2', path: '/n/text', require: { claims: { n: '1' } } },
        { id: 'n3', path: '/n/false', require: { claims: { no: false } } },
        { id: 'n4', path: '/n/dotted', require: { claims: { 'a\\.b.c\\.d': ['x', 'deep'] } } },
        { id: 'n5', path: '/n/inherited', require: { claims: { 'object.constructor': 'x', toString: 'y' } } },
      )
    },
  })
})
after(async () => {
  await s.stop()
  await api.close()
  idp.close()
})

async function signIn(claims: Record<string, unknown>): Promise<Client> {
  idp.idClaims = claims
  return idp.signIn(s.client())
}
const text = (res: Response, name: string): string | undefined => {
  const value = res.headers.get(name)
  return value === null ? undefined : Buffer.from(value, 'latin1').toString('utf8')
}

const CLAIMS = {
  'a.b': { 'c.d': 'deep' },
  'https://app.example.com/roles': ['r1', 'r2'],
  n: 1,
  zero: 0,
  big: 9007199254740991,
  yes: true,
  no: false,
  nothing: null,
  object: { x: 1 },
  empty: [],
  blank: '   ',
  mixed: ['a', 1, false, null, { x: 1 }, ['n'], 'b'],
  teams: [{ members: [{ name: 'p' }, { name: 'q' }] }, { members: [{ name: 'r' }] }],
  groups: ['Zürich 🌍', 'a,b', '', '  padded ', 'x\r\ny', 7],
}

describe('claims of every kind', () => {
  test('are said as text where they are text, numbers and booleans, and not at all where they are not', async () => {
    const res = await s.verify('/odd/1', { client: await signIn(CLAIMS) })
    assert.equal(res.status, 200)
    const got = Object.fromEntries(
      [
        'dotted',
        'url',
        'number',
        'zero',
        'big',
        'true',
        'false',
        'null',
        'object',
        'empty',
        'blank',
        'mixed',
        'deep',
      ].map((n) => [n, text(res, `x-${n}`)]),
    )
    assert.deepEqual(got, {
      dotted: 'deep',
      url: 'r1,r2',
      number: '1',
      zero: '0',
      big: '9007199254740991',
      true: 'true',
      false: 'false',
      null: undefined,
      object: undefined,
      empty: undefined,
      blank: undefined,
      mixed: 'a,1,false,b',
      deep: 'p,q,r',
    })
    assert.equal(text(res, 'x-user-groups'), 'Zürich 🌍,7')
  })

  test('are in the assertion as they are, each with its own type', async () => {
    const res = await s.verify('/odd/1', { client: await signIn(CLAIMS) })
    const claims = decodeJwt(res.headers.get('x-identity-assertion') ?? '')
    assert.deepEqual(
      [claims['object'], claims['n'], claims['no'], claims['nothing'], claims['empty']],
      [{ x: 1 }, 1, false, undefined, []],
    )
    assert.ok((claims['groups'] as string[]).includes('Zürich 🌍'))
  })

  test('with a blank at an end are nobody else’s', async () => {
    const res = await s.verify('/odd/1', {
      client: await signIn({ sub: 'alice ', email: ' a@example.com', name: 'Al ' }),
    })
    assert.deepEqual(
      ['x-user-id', 'x-original-user', 'x-user-email', 'x-user-name'].map((n) => text(res, n)),
      [undefined, undefined, undefined, 'Al'],
    )
  })

  test('are required with their type, by their own properties alone', async () => {
    const client = await signIn(CLAIMS)
    const status = async (uri: string): Promise<number> => (await s.verify(uri, { client })).status
    assert.equal(await status('/g/1'), 200)
    assert.equal(await status('/n/one'), 200)
    assert.equal(await status('/n/text'), 403)
    assert.equal(await status('/n/false'), 200)
    assert.equal(await status('/n/dotted'), 200)
    assert.equal(await status('/n/inherited'), 403)
  })
})

describe('more groups than a header holds', () => {
  const huge = Array.from({ length: 3000 }, (_, i) => `group-number-${i}`)

  test('are cut at a whole name in header and assertion, so that no upstream refuses the request for its size', async () => {
    const client = await signIn({ groups: huge, huge })
    const res = await s.verify('/odd/1', { client })
    assert.equal(res.status, 200)
    const groups = (text(res, 'x-user-groups') ?? '').split(',')
    assert.ok(groups.length > 100)
    for (const g of groups) assert.ok(huge.includes(g))
    const assertion = res.headers.get('x-identity-assertion') ?? ''
    assert.ok(assertion.length < 8192, `${assertion.length} bytes`)
    const signed = decodeJwt(assertion)['groups'] as string[]
    assert.deepEqual(signed, huge.slice(0, signed.length))
    assert.ok(signed.length > 100)
    assert.equal(decodeJwt(assertion)['huge'], undefined)
    let size = 0
    res.headers.forEach((value, name) => (size += name.length + value.length + 4))
    assert.ok(size < 16_000)
  })

  test('are told in a line or two, not in one for each', async () => {
    const before = s.logs.length
    await s.verify('/odd/1', { client: await signIn({ groups: huge }) })
    const lines = s.logs.slice(before).filter((l) => l['level'] !== 20)
    assert.ok(lines.length < 10, `${lines.length} lines`)
  })

  test('count all the same for rules', async () => {
    const client = await signIn({ groups: [...huge, 'Zürich 🌍'] })
    assert.equal((await s.verify('/g/1', { client })).status, 200)
  })
})
