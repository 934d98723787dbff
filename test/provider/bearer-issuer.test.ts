import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createBearerVerifier } from '../../middleware/provider/bearer-issuer.ts'
import { ProviderRejected, ProviderUnavailable } from '../../middleware/provider/errors.ts'
import { startBadProvider } from './bad-provider.ts'
import { options, providerSettings } from './fixtures.ts'

it('a bearer issuer’s tokens are checked by its keys, for our audience, without a client of ours', async () => {
  const bad = await startBadProvider()
  const verifier = createBearerVerifier({
    ...options(providerSettings(bad.issuer)),
    settings: { name: 'partner', issuer: new URL(bad.issuer), audience: 'https://api.example.com' },
  })
  const good = bad.accessToken({ aud: 'https://api.example.com' })
  assert.equal((await verifier.verify(good))['sub'], 'alice')
  assert.equal(verifier.issuer(), bad.issuer)
  const keycloak = bad.accessToken({ aud: ['account', 'https://api.example.com'], typ: 'Bearer', azp: 'robot' })
  assert.equal((await verifier.verify(keycloak))['azp'], 'robot')
  const wrong = [
    bad.accessToken({ aud: 'other' }),
    bad.accessToken({ aud: 'https://api.example.com', exp: 1 }),
    bad.accessToken({ aud: 'https://api.example.com', iss: 'https://evil.example' }),
    bad.sign({ aud: 'https://api.example.com', iss: bad.issuer, exp: 9_999_999_999 }, { alg: 'forged' }),
    bad.sign({ aud: 'https://api.example.com', iss: bad.issuer, exp: 9_999_999_999 }, { alg: 'none' }),
    bad.sign({ aud: 'https://api.example.com', iss: bad.issuer, exp: 9_999_999_999 }, { alg: 'HS256' }),
    bad.sign(
      { aud: 'https://api.example.com', iss: bad.issuer, exp: 9_999_999_999 },
      { header: { typ: 'logout+jwt' } },
    ),
    'junk',
    // Other tokens that the same issuer signs for the same audience.
    bad.accessToken({ aud: 'https://api.example.com', sub: undefined }),
    bad.accessToken({ aud: 'https://api.example.com', sub: '' }),
    bad.accessToken({
      aud: 'https://api.example.com',
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    }),
    ...['ID', 'Refresh', 'Offline', 'Logout'].map((typ) => bad.accessToken({ aud: 'https://api.example.com', typ })),
    ...['nonce', 'at_hash', 'c_hash'].map((name) => bad.accessToken({ aud: 'https://api.example.com', [name]: 'x' })),
    bad.accessToken({ aud: 'https://api.example.com', token_use: 'id' }),
  ]
  for (const token of wrong) await assert.rejects(verifier.verify(token), ProviderRejected)
  verifier.close()
  await bad.close()
  const alone = createBearerVerifier({
    ...options(providerSettings(bad.issuer)),
    settings: { name: 'partner', issuer: new URL(bad.issuer), audience: 'https://api.example.com' },
  })
  await assert.rejects(alone.verify(good), ProviderUnavailable)
  alone.close()
})
