import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  MAX_ATTEMPTS,
  deriveAttempt,
  openAttempt,
  sealAttempt,
  startCookies,
  type Attempt,
} from '../../middleware/login/attempt.ts'
import type { EpochMs } from '../../middleware/types.ts'

const key = randomBytes(32)
const at = { issuer: 'https://idp.example.com/', clientId: 'bff', redirectUri: 'https://app.example.com/auth/callback' }
const attempt: Attempt = {
  random: randomBytes(32).toString('base64url'),
  startedAt: 1 as EpochMs,
  returnTo: 'https://app.example.com/x',
  provider: 'default',
}

test('state, nonce and verifier are three different values, and the cookie holds none of them', () => {
  const d = deriveAttempt(attempt.random, key, at)
  assert.equal(new Set([d.state, d.nonce, d.codeVerifier]).size, 3)
  assert.match(d.codeVerifier, /^[\w-]{43}$/)
  const cookie = sealAttempt(attempt, key)
  const readable = Buffer.from(cookie.split('.')[0] ?? '', 'base64url').toString()
  for (const secret of [d.state, d.nonce, d.codeVerifier]) assert.ok(!readable.includes(secret))
})

test('R20 another environment (issuer, client or redirect URI) derives another state from the same cookie', () => {
  const here = deriveAttempt(attempt.random, key, at).state
  for (const other of [
    { issuer: 'https://other/' },
    { clientId: 'staging' },
    { redirectUri: 'https://staging.example.com/auth/callback' },
  ]) {
    assert.notEqual(deriveAttempt(attempt.random, key, { ...at, ...other }).state, here)
  }
})

test('an attempt is read back under any listed key, and not at all when a character of it changed', () => {
  const sealed = sealAttempt(attempt, key)
  assert.deepEqual(openAttempt(sealed, [randomBytes(32), key])?.attempt, attempt)
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.constantFrom('A', 'b', '.', '-'), (i, c) => {
      if (sealed[i] === c) return
      const opened = openAttempt(sealed.slice(0, i) + c + sealed.slice(i + 1), [key])
      // The last character of base64url holds unused bits: the same bytes are the same attempt.
      if (opened !== undefined) assert.deepEqual(opened.attempt, attempt)
    }),
  )
})

test('foreign text in an attempt cookie is nothing, and never throws', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      assert.equal(openAttempt(text, [key]), undefined)
    }),
  )
})

test('the sixth attempt takes the oldest out', () => {
  const names = ['aaaaaaaaa1', 'aaaaaaaaa2', 'aaaaaaaaa3', 'aaaaaaaaa4', 'aaaaaaaaa5']
  const cookies = startCookies('aaaaaaaaa6', 'sealed', names.join('.'), {
    prefix: 'bff_login_',
    index: 'bff_login_index',
    callbackPath: '/auth/callback',
    loginPath: '/auth/login',
  })
  const index = cookies.find((c) => c.startsWith('bff_login_index='))
  assert.equal(index?.slice('bff_login_index='.length).split(';')[0]?.split('.').length, MAX_ATTEMPTS)
  const gone = cookies.filter((c) => c.includes('Max-Age=0'))
  assert.equal(gone.length, 1)
  assert.match(
    gone[0] ?? '',
    /^bff_login_aaaaaaaaa1=; Path=\/auth\/callback; Max-Age=0; HttpOnly; SameSite=Lax; Secure$/,
  )
})
