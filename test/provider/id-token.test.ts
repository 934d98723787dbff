import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { ProviderRejected, ProviderUnavailable } from '../../middleware/provider/errors.ts'
import { createProvider } from '../../middleware/provider/provider.ts'
import type { LoginResult, Provider } from '../../middleware/provider/types.ts'
import { type BadProvider, type SignOptions, startBadProvider } from './bad-provider.ts'
import { options, providerSettings, REDIRECT_URI } from './fixtures.ts'

const NOW = Math.floor(Date.now() / 1000)

describe('the id token of a sign-in', () => {
  let bad: BadProvider
  let provider: Provider
  before(async () => {
    bad = await startBadProvider()
    provider = createProvider(options(providerSettings(bad.issuer)))
  })
  after(async () => {
    provider.close()
    await bad.close()
  })

  const signIn = (
    idToken: string | undefined,
    more: Record<string, unknown> = {},
    wantedClaims: readonly string[] = [],
  ): Promise<LoginResult> => {
    bad.on.set('/token', () => ({
      json: { access_token: 'the-access-token', token_type: 'Bearer', expires_in: 300, id_token: idToken, ...more },
    }))
    return provider.redeem({
      callbackUrl: new URL(`${REDIRECT_URI}?code=c&state=s`),
      redirectUri: REDIRECT_URI,
      state: 's',
      nonce: 'the-nonce',
      codeVerifier: 'v'.repeat(43),
      wantedClaims,
    })
  }
  const isRejected = (e: unknown): boolean => e instanceof ProviderRejected && e.code === 'invalid_id_token'

  it('passes when everything fits, also with a right at_hash and an azp that is us', async () => {
    const atHash = createHash('sha256').update('the-access-token').digest().subarray(0, 16).toString('base64url')
    const login = await signIn(
      bad.idToken({
        at_hash: atHash,
        azp: 'bff-server',
        aud: ['bff-server', 'other'],
        sid: 'the-sid',
        acr: '2',
        auth_time: NOW - 5,
      }),
    )
    assert.deepEqual(
      { sub: login.sub, sid: login.sid, acr: login.acr, at: login.authTimeS },
      { sub: 'alice', sid: 'the-sid', acr: '2', at: NOW - 5 },
    )
  })

  const wrong: readonly (readonly [string, Record<string, unknown>, SignOptions?])[] = [
    ['a forged signature', {}, { alg: 'forged' }],
    ['alg none, though announced', {}, { alg: 'none' }],
    ['HS256 signed with the public key, though announced', {}, { alg: 'HS256' }],
    ['an unknown key', {}, { header: { kid: 'k2' } }],
    ['a crit header', {}, { header: { crit: ['b64'] } }],
    ['another issuer', { iss: 'https://evil.example' }],
    ['another audience', { aud: 'other' }],
    ['an azp that is another client', { azp: 'other' }],
    ['several audiences without azp', { aud: ['bff-server', 'other'] }],
    ['another nonce', { nonce: 'other' }],
    ['no nonce', { nonce: undefined }],
    ['no subject', { sub: undefined }],
    ['a subject that is no text', { sub: 7 }],
    ['an empty subject', { sub: '' }],
    ['an exp in the past', { exp: NOW - 60 }],
    ['no exp', { exp: undefined }],
    ['no iat', { iat: undefined }],
    ['an at_hash of another access token', { at_hash: 'AAAAAAAAAAAAAAAAAAAAAA' }],
  ]
  for (const [what, claims, sign] of wrong) {
    it(`is refused with ${what}`, async () => {
      await assert.rejects(signIn(bad.idToken(claims, sign)), isRejected)
    })
  }

  it('is refused when it is missing', async () => {
    await assert.rejects(signIn(undefined), (e) => e instanceof ProviderRejected || e instanceof ProviderUnavailable)
  })

  it('is refused when it is no JWT at all, and no part of it is in the error', async () => {
    await assert.rejects(
      signIn('not-a-jwt-but-a-secret'),
      (e) => e instanceof Error && !JSON.stringify([e.message, e]).includes('secret'),
    )
  })

  it('asks userinfo only for claims that it lacks, and refuses another subject there', async () => {
    bad.on.set('/userinfo', () => ({ json: { sub: 'alice', email: 'a@example.com', name: 'from userinfo' } }))
    const asked = (): number => bad.forms('/userinfo').length
    const before = asked()
    await signIn(bad.idToken({ email: 'x@example.com' }), {}, ['email'])
    assert.equal(asked(), before)
    const login = await signIn(bad.idToken({ name: 'from id token' }), {}, ['email'])
    assert.equal(asked(), before + 1)
    assert.deepEqual([login.identity['email'], login.identity['name']], ['a@example.com', 'from id token'])
    bad.on.set('/userinfo', () => ({ json: { sub: 'mallory', email: 'm@example.com' } }))
    await assert.rejects(
      signIn(bad.idToken(), {}, ['email']),
      (e) => e instanceof ProviderRejected && e.code === 'subject_mismatch',
    )
  })

  it('does not hang on a userinfo endpoint that fails, where it only adds claims', async () => {
    bad.on.set('/userinfo', () => ({ status: 500 }))
    const login = await signIn(bad.idToken(), {}, ['email'])
    assert.equal(login.userinfo, undefined)
  })

  it('R19 calls it the provider’s trouble when the token endpoint answers 401, 5xx or nonsense', async () => {
    for (const r of [
      { status: 401, json: { error: 'invalid_grant' } },
      { status: 503 },
      { status: 302, headers: { location: '/x' } },
      { text: '{"access_token":' },
      { hangUp: true },
    ]) {
      bad.on.set('/token', () => r)
      const fresh = createProvider(options(providerSettings(bad.issuer)))
      await assert.rejects(
        fresh.redeem({
          callbackUrl: new URL(`${REDIRECT_URI}?code=c&state=s`),
          redirectUri: REDIRECT_URI,
          state: 's',
          nonce: 'the-nonce',
          codeVerifier: 'v'.repeat(43),
        }),
        (e) => e instanceof ProviderUnavailable,
        JSON.stringify(r),
      )
      fresh.close()
    }
  })

  it('takes a key that the provider rotated in, right after the last look', async () => {
    const jwks = bad.on.get('/jwks')!
    const fresh = createProvider(options(providerSettings(bad.issuer)))
    const token = bad.sign({ iss: bad.issuer, aud: 'api', sub: 'robot', exp: NOW + 600 })
    bad.on.set('/jwks', () => ({ json: { keys: [] } }))
    await assert.rejects(fresh.verifyAccessToken(token, 'api'), (e) => e instanceof ProviderRejected)
    bad.on.set('/jwks', jwks)
    assert.equal((await fresh.verifyAccessToken(token, 'api'))['aud'], 'api')
    fresh.close()
  })

  it('takes a key that the provider rotated in under the name of the old one', async () => {
    const jwks = bad.on.get('/jwks')!
    const fresh = createProvider(options(providerSettings(bad.issuer)))
    const token = bad.sign({ iss: bad.issuer, aud: 'api', sub: 'robot', exp: NOW + 600 })
    const old = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })
    bad.on.set('/jwks', () => ({ json: { keys: [{ ...old, kid: 'k1', use: 'sig', alg: 'RS256' }] } }))
    await assert.rejects(fresh.verifyAccessToken(token, 'api'), (e) => e instanceof ProviderRejected)
    bad.on.set('/jwks', jwks)
    assert.equal((await fresh.verifyAccessToken(token, 'api'))['aud'], 'api')
    fresh.close()
  })

  it('counts as unverifiable, not as wrong, while the keys cannot be fetched', async () => {
    const jwks = bad.on.get('/jwks')!
    const fresh = createProvider(options(providerSettings(bad.issuer)))
    for (const r of [{ status: 500 }, { text: 'no json' }, { json: { keys: 'x' } }, { hangUp: true }]) {
      bad.on.set('/jwks', () => r)
      await assert.rejects(
        fresh.verifyAccessToken(bad.sign({ iss: bad.issuer, aud: 'api', exp: NOW + 600 }), 'api'),
        (e) => e instanceof ProviderUnavailable,
      )
    }
    bad.on.set('/jwks', jwks)
    fresh.close()
  })
})
