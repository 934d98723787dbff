import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { readSessionCookie, writeSessionCookie } from '../../middleware/session/cookie.ts'
import { newSessionId } from '../../middleware/session/handle.ts'

const id = newSessionId(randomBytes)

test('a cookie that was read once proves nothing for another text', () => {
  const keys = ['the key of this test']
  const good = writeSessionCookie(id, 'the key of this test')
  assert.equal(readSessionCookie(good, keys), id)
  assert.equal(readSessionCookie(good, keys), id)
  for (let i = 0; i < good.length; i++) {
    const altered = good.slice(0, i) + (good[i] === 'A' ? 'B' : 'A') + good.slice(i + 1)
    assert.equal(readSessionCookie(altered, keys), undefined, `altered at ${i}`)
  }
  assert.equal(readSessionCookie(good.slice(0, -1), keys), undefined)
})

test('a cookie that was good under some keys is nothing under others', () => {
  const good = writeSessionCookie(id, 'old')
  assert.equal(readSessionCookie(good, ['new', 'old']), id)
  assert.equal(readSessionCookie(good, ['new']), undefined)
})

test('a refused cookie is refused again, and a good one after many others is still read', () => {
  const keys = ['k']
  assert.equal(readSessionCookie(writeSessionCookie(id, 'not k'), keys), undefined)
  assert.equal(readSessionCookie(writeSessionCookie(id, 'not k'), keys), undefined)
  const first = writeSessionCookie(id, 'k')
  assert.equal(readSessionCookie(first, keys), id)
  for (let i = 0; i < 10_001; i++) readSessionCookie(writeSessionCookie(newSessionId(randomBytes), 'k'), keys)
  assert.equal(readSessionCookie(first, keys), id)
})
