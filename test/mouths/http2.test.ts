import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawFromStream } from '../../middleware/mouths/http2.ts'
import { correlationId } from '../../middleware/mouths/request-headers.ts'
import { createRandom } from '../../middleware/random.ts'

const peer = { address: '10.0.0.2', tls: true, certified: true }
const pseudo = [':method', 'GET', ':scheme', 'https', ':path', '/auth/verify?service=orders']
const raw = (...lines: string[]) => rawFromStream([...pseudo, ...lines], peer)

test('method and target are the pseudo fields, which are no headers', () => {
  const r = raw('x-forwarded-host', 'a.example', 'cookie', 'a=1', 'cookie', 'b=2')
  assert.deepEqual([r.method, r.target, r.peer], ['GET', '/auth/verify?service=orders', peer])
  assert.deepEqual([...r.names()], ['x-forwarded-host', 'cookie', 'cookie'])
})

test('a field that came several times has several values, in order, and one that did not come has none', () => {
  const r = raw('cookie', 'a=1', 'accept', '*/*', 'cookie', 'b=2')
  assert.deepEqual([r.all('cookie'), r.all('accept'), r.all('origin')], [['a=1', 'b=2'], ['*/*'], []])
})

test(':authority is the Host; a Host beside it that says otherwise stays a second one (RFC 9113 §8.3.1)', () => {
  assert.deepEqual(raw(':authority', 'bff:4443').all('host'), ['bff:4443'])
  assert.deepEqual(raw(':authority', 'bff:4443', 'host', 'bff:4443').all('host'), ['bff:4443'])
  assert.deepEqual(raw(':authority', 'bff:4443', 'host', 'evil').all('host'), ['bff:4443', 'evil'])
  assert.deepEqual(raw('host', 'bff:4443').all('host'), ['bff:4443'])
})

test('each request has a correlation id of its own, of the shape of a trace id', () => {
  const random = createRandom()
  const ids = Array.from({ length: 1000 }, () => correlationId(raw(), random))
  assert.equal(new Set(ids).size, 1000)
  assert.ok(ids.every((id) => /^[0-9a-f]{32}$/.test(id)))
})
