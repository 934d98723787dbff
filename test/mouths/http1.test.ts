import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { rawFromHttp1 } from '../../middleware/mouths/http1.ts'
import { createRandom } from '../../middleware/random.ts'

const raw = (...rawHeaders: string[]) =>
  rawFromHttp1({
    method: 'GET',
    url: '/',
    rawHeaders,
    socket: { remoteAddress: '127.0.0.1' },
  } as unknown as IncomingMessage)

test('repeated lines stay apart and in order, whatever their case', () => {
  const r = raw('Cookie', 'a=1', 'X-Forwarded-Host', 'one', 'COOKIE', 'b=2', 'x-forwarded-host', 'two')
  assert.deepEqual(r.all('cookie'), ['a=1', 'b=2'])
  assert.deepEqual(r.all('x-forwarded-host'), ['one', 'two'])
  assert.deepEqual([...r.names()], ['cookie', 'x-forwarded-host'])
})

test('a name that JavaScript objects have is a header like any other, and absent where it was not sent', () => {
  const r = raw('__proto__', 'x', 'constructor', 'y')
  assert.deepEqual(r.all('__proto__'), ['x'])
  assert.deepEqual(r.all('constructor'), ['y'])
  assert.deepEqual(r.all('tostring'), [])
})

test('random bytes: never twice the same, of the length asked, each the taker’s own', () => {
  const random = createRandom()
  const seen = new Set<string>()
  for (let i = 0; i < 5000; i++) {
    const length = 1 + (i % 40)
    const bytes = random(length)
    assert.equal(bytes.length, length)
    if (length >= 12) seen.add(Buffer.from(bytes).toString('hex'))
    bytes.fill(0)
  }
  assert.equal(seen.size, Array.from({ length: 5000 }, (_, i) => 1 + (i % 40)).filter((l) => l >= 12).length)
})
