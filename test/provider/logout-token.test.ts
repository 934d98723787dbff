import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { ProviderRejected } from '../../middleware/provider/errors.ts'
import { createProvider } from '../../middleware/provider/provider.ts'
import type { Provider } from '../../middleware/provider/types.ts'
import { type BadProvider, type SignOptions, startBadProvider } from './bad-provider.ts'
import { options, providerSettings } from './fixtures.ts'

const NOW = Math.floor(Date.now() / 1000)
const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} }

describe('a logout token', () => {
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
  const token = (more: Record<string, unknown> = {}, o: SignOptions = { header: { typ: 'logout+jwt' } }): string =>
    bad.sign(
      {
        iss: bad.issuer,
        aud: 'bff-server',
        iat: NOW,
        exp: NOW + 120,
        jti: 'j1',
        sub: 'alice',
        sid: 's1',
        events: EVENTS,
        ...more,
      },
      o,
    )

  it('passes with sub and sid, with one of them, and with the types that older providers write', async () => {
    assert.deepEqual(await provider.verifyLogoutToken(token()), {
      issuer: bad.issuer,
      jti: 'j1',
      expS: NOW + 120,
      sub: 'alice',
      sid: 's1',
    })
    assert.equal((await provider.verifyLogoutToken(token({ sid: undefined }))).sub, 'alice')
    assert.equal((await provider.verifyLogoutToken(token({ sub: undefined }))).sid, 's1')
    for (const typ of ['JWT', 'application/logout+jwt', undefined])
      await provider.verifyLogoutToken(token({}, { header: { typ } }))
  })

  const wrong: readonly (readonly [string, Record<string, unknown>, SignOptions?])[] = [
    ['a nonce', { nonce: 'n' }],
    ['a nonce that is null', { nonce: null }],
    ['no events', { events: undefined }],
    ['events of another kind', { events: { 'http://schemas.openid.net/event/other': {} } }],
    ['an event that is no object', { events: { 'http://schemas.openid.net/event/backchannel-logout': 'x' } }],
    ['another issuer', { iss: 'https://evil.example' }],
    ['another audience', { aud: 'other' }],
    ['neither sub nor sid', { sub: undefined, sid: undefined }],
    ['a sub that is no text', { sub: { $ne: '' } }],
    ['no jti', { jti: undefined }],
    ['no iat', { iat: undefined }],
    ['no exp', { exp: undefined }],
    ['an exp in the past', { exp: NOW - 60 }],
    ['an iat of yesterday', { iat: NOW - 86_400 }],
    ['an iat of tomorrow', { iat: NOW + 86_400, exp: NOW + 90_000 }],
    ['a forged signature', {}, { alg: 'forged', header: { typ: 'logout+jwt' } }],
    ['alg none', {}, { alg: 'none', header: { typ: 'logout+jwt' } }],
    ['HS256 with the public key', {}, { alg: 'HS256', header: { typ: 'logout+jwt' } }],
    ['the type of an access token', {}, { header: { typ: 'at+jwt' } }],
  ]
  for (const [what, claims, sign] of wrong) {
    it(`is refused with ${what}`, async () => {
      await assert.rejects(
        provider.verifyLogoutToken(token(claims, sign)),
        (e) => e instanceof ProviderRejected && e.code === 'invalid_logout_token',
      )
    })
  }

  it('is refused when it is an id token, or no JWT', async () => {
    for (const text of [bad.idToken(), 'x', ''])
      await assert.rejects(provider.verifyLogoutToken(text), ProviderRejected)
  })

  it('and an id token is no access token', async () => {
    await assert.rejects(provider.verifyAccessToken(bad.idToken(), 'bff-server'), ProviderRejected)
  })
})
