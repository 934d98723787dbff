import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { readingsOf } from '../../middleware/decide/readings.ts'
import { startService, type Service } from '../support/service.ts'

let s: Service
before(async () => {
  s = await startService({
    routes: (r) => {
      r.routes.push(
        { id: 'pub', path: '/pub/*', auth: 'public', encoded: ['slash', 'semicolon', 'percent'] },
        { id: 'admin', path: '/pub/admin/*' },
        { id: 'one', path: '/pub/one' },
        { id: 'get-only', path: '/pub/methods/*', methods: ['POST'] },
      )
    },
  })
})
after(() => s.stop())

const answer = async (uri: string): Promise<string> => {
  const res = await s.verify(uri)
  return `${res.status} ${res.headers.get('x-bff-error') ?? ''}`.trim()
}

describe('an encoded path that decodes into a stricter route (CVE-2026-42274, CVE-2021-29492, CVE-2023-33189)', () => {
  for (const uri of [
    '/pub/admin%2Fx',
    '/pub/admin%2fx',
    '/pub/admin%2F',
    '/pub/admin;x',
    '/pub/admin;x/y',
    '/pub/admin%3Bx',
    '/pub/%2561dmin/x',
    '/pub/%2541dmin/x',
    '/pub/admin%252Fx',
    '/pub/admin%25252Fx',
    '/pub/admin%253Bx',
    '/pub;a/admin/x',
    '/pub/x;y%2Fadmin/..%2Fz',
    '/pub/one;v=1',
    '/pub/one%3Fx',
    '/pub/one%23x',
    '/pub/one%253Fx',
    '/pub/methods%2Fx',
    '/pub/x%252F..%252Fadmin',
    '/pub/%252e%252e/admin',
    '/pub/..%253B/admin',
    '/pub/%252F%252Fadmin',
    '/pub/a%2F%2Fb',
    '/pub/%255c..%255cadmin',
    '/pub/a%2500',
    `/pub/%${'25'.repeat(200)}2Fadmin`,
  ]) {
    test(`${uri.slice(0, 40)} is refused`, async () => {
      assert.equal(await answer(uri), '400 BAD_REQUEST')
    })
  }

  test('while a path that is for the same route however it is read passes as it came', async () => {
    for (const uri of [
      '/pub/group%2Fproject',
      '/pub/a;v=1/b',
      '/pub/100%25',
      '/pub/a%252Fb',
      '/pub/administrator%2Fx',
      '/pub/%C3%A4%20b',
      '/pub/admins;x',
    ])
      assert.equal(await answer(uri), '200', uri)
    assert.equal(await answer('/pub/admin/x'), '401 NO_SESSION')
  })
})

test('every reading of a path is found, layer by layer', () => {
  assert.deepEqual(readingsOf('/a/b'), [])
  assert.deepEqual(readingsOf('/a%252Fb;c'), ['/a%2Fb;c', '/a%252Fb', '/a/b;c', '/a%2Fb', '/a/b'])
  assert.equal(readingsOf('/a%2F..'), undefined)
})
