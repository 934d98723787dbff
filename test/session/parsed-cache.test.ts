import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createParsedCache, weightOf } from '../../middleware/session/parsed-cache.ts'
import type { EpochMs, LiveSession, SessionId } from '../../middleware/types.ts'

const id = (n: number): SessionId => `session-${n}` as SessionId
const kept = (bytes: number) => ({ revision: 1, session: {} as LiveSession, bytes })

test('parsed sessions are bounded by what they weigh, and the oldest make room', () => {
  const cache = createParsedCache(1000)
  for (let n = 0; n < 100; n++) cache.set(id(n), kept(300))
  assert.equal(cache.bytes(), 900)
  assert.equal(cache.get(id(96)), undefined)
  assert.ok(cache.get(id(97)) && cache.get(id(99)))
  cache.set(id(99), kept(100))
  assert.equal(cache.bytes(), 700, 'one that is put again counts once')
  cache.delete(id(99))
  cache.delete(id(99))
  assert.equal(cache.bytes(), 600)
  cache.set(id(1), kept(5000))
  assert.equal(cache.get(id(1)), undefined, 'one that alone is too heavy is not kept')
})

test('a session weighs its record, state and tokens', () => {
  const stored = { version: 1, idleUntil: 0 as EpochMs, fence: 0, revision: 1 }
  const light = weightOf({ ...stored, record: 'r'.repeat(500), state: 's', slots: {} })
  const heavy = weightOf({ ...stored, record: 'r'.repeat(500), state: 's', slots: { orders: 't'.repeat(40_000) } })
  assert.ok(heavy - light >= 40_000)
})
