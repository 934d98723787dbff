import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { secret } from '../../config/secret.ts'
import { createProvider } from '../../middleware/provider/provider.ts'
import { ProviderRejected } from '../../middleware/provider/errors.ts'
import type { Provider } from '../../middleware/provider/types.ts'
import { options, providerSettings, REDIRECT_URI } from './fixtures.ts'
import { type RealProvider, startRealProvider } from './real-provider.ts'

const SECRET = 'a-client-secret-with-%-and-:'
const VERIFIER = 'v'.repeat(64)

describe('a sign-in at a real provider', () => {
  let real: RealProvider
  let provider: Provider
  before(async () => {
    real = await startRealProvider({
      clients: [
        {
          client_id: 'bff-server',
          client_secret: SECRET,
          redirect_uris: [REDIRECT_URI],
          grant_types: ['authorization_code', 'refresh_token'],
          response_types: ['code'],
          post_logout_redirect_uris: ['http://app.localhost:8000/auth/logged-out'],
        },
      ],
    })
    provider = createProvider(options(providerSettings(real.issuer)))
  })
  after(async () => {
    provider.close()
    await real.close()
  })

  const begin = (resources: readonly string[] = []): Promise<URL> =>
    provider.authorizationUrl({
      redirectUri: REDIRECT_URI,
      state: 'the-state',
      nonce: 'the-nonce',
      codeVerifier: VERIFIER,
      resources,
    })
  const checks = { redirectUri: REDIRECT_URI, state: 'the-state', nonce: 'the-nonce', codeVerifier: VERIFIER }

  it('R18 takes code, PKCE, refresh that rotates, userinfo, introspection and revocation', async () => {
    const url = await begin()
    assert.ok(url.searchParams.has('request_uri'), 'pushed, because the provider announces PAR')
    const callbackUrl = await real.signIn(url)
    assert.equal(await provider.checkCallbackIssuer(callbackUrl.searchParams), 'ok')
    const login = await provider.redeem({ ...checks, callbackUrl, wantedClaims: ['email'] })
    assert.equal(login.sub, 'alice')
    assert.equal(login.issuer, real.issuer)
    assert.equal(login.identity['email'], 'alice@example.com')
    assert.ok(login.refreshToken)
    assert.ok(login.scopes.includes('application.all'))

    assert.equal((await provider.introspect(login.accessToken))?.active, true)
    const refreshed = await provider.tokenRequest({
      grant_type: 'refresh_token',
      refresh_token: login.refreshToken.reveal(),
    })
    assert.equal(refreshed.kind, 'ok')
    assert.ok(refreshed.refreshToken && refreshed.refreshToken.reveal() !== login.refreshToken.reveal())
    assert.equal(refreshed.identity?.kind, 'verified')

    assert.equal(await provider.revoke(refreshed.refreshToken), true)
    const dead = await provider.tokenRequest({
      grant_type: 'refresh_token',
      refresh_token: refreshed.refreshToken.reveal(),
    })
    assert.deepEqual(
      { kind: dead.kind, error: dead.kind === 'oauth_error' ? dead.error : '' },
      { kind: 'oauth_error', error: 'invalid_grant' },
    )
  })

  it('R14 gets a token for one audience by a resource indicator', async () => {
    const resources = ['https://analytics.example.com', 'https://crud.example.com']
    const login = await provider.redeem({
      ...checks,
      callbackUrl: await real.signIn(await begin(resources)),
      resource: resources[0]!,
    })
    const other = await provider.tokenRequest({
      grant_type: 'refresh_token',
      refresh_token: login.refreshToken!.reveal(),
      resource: resources[1],
      scope: 'application.all',
    })
    assert.equal(other.kind, 'ok')
    const claims = await provider.verifyAccessToken(other.accessToken.reveal(), resources[1]!)
    assert.equal(claims['aud'], resources[1])
  })

  it('refuses a callback without iss, with a foreign iss, with another state and with a doubled code', async () => {
    const good = await real.signIn(await begin())
    const changed = (f: (p: URLSearchParams) => void): URL => {
      const u = new URL(good)
      f(u.searchParams)
      return u
    }
    assert.equal(await provider.checkCallbackIssuer(changed((p) => p.delete('iss')).searchParams), 'missing')
    assert.equal(
      await provider.checkCallbackIssuer(changed((p) => p.set('iss', 'https://evil.example')).searchParams),
      'foreign',
    )
    assert.equal(
      await provider.checkCallbackIssuer(changed((p) => p.append('iss', real.issuer)).searchParams),
      'foreign',
    )
    const bad = [
      changed((p) => p.delete('iss')),
      changed((p) => p.set('iss', 'https://evil.example')),
      changed((p) => p.set('state', 'other')),
      changed((p) => p.append('code', 'other')),
      changed((p) => p.delete('code')),
    ]
    for (const callbackUrl of bad) {
      await assert.rejects(
        provider.redeem({ ...checks, callbackUrl }),
        (e) => e instanceof ProviderRejected && e.code === 'invalid_response',
      )
    }
    const login = await provider.redeem({ ...checks, callbackUrl: good })
    assert.equal(login.sub, 'alice')
  })

  it('tells the provider’s own error code, and drops one that is no code', async () => {
    for (const [error, code] of [
      ['access_denied', 'access_denied'],
      ['<script>"', 'invalid_response'],
    ] as const) {
      const callbackUrl = new URL(REDIRECT_URI)
      callbackUrl.search = new URLSearchParams({ error, state: 'the-state', iss: real.issuer }).toString()
      await assert.rejects(
        provider.redeem({ ...checks, callbackUrl }),
        (e) => e instanceof ProviderRejected && e.code === code && e.stage === 'authorization',
      )
    }
  })

  it('refuses another nonce and another verifier', async () => {
    await assert.rejects(
      provider.redeem({ ...checks, nonce: 'other', callbackUrl: await real.signIn(await begin()) }),
      (e) => e instanceof ProviderRejected && e.code === 'invalid_id_token',
    )
    await assert.rejects(
      provider.redeem({ ...checks, codeVerifier: 'w'.repeat(64), callbackUrl: await real.signIn(await begin()) }),
      (e) => e instanceof ProviderRejected && e.code === 'invalid_grant',
    )
  })

  it('R19 takes a wrong client secret (401) for trouble of the provider', async () => {
    const wrong = createProvider(
      options(providerSettings(real.issuer, { auth: { kind: 'client_secret_basic', secret: secret('wrong') } })),
    )
    const answer = await wrong.tokenRequest({ grant_type: 'refresh_token', refresh_token: 'any' })
    assert.equal(answer.kind, 'down')
    wrong.close()
  })

  it('builds the end-session address without an id token unless one is given', async () => {
    const url = await provider.endSessionUrl({ postLogoutRedirectUri: 'http://app.localhost:8000/auth/logged-out' })
    assert.equal(url?.searchParams.get('client_id'), 'bff-server')
    assert.equal(url.searchParams.has('id_token_hint'), false)
  })

  it('lets no extra parameter replace the flow’s own', async () => {
    const meddling = createProvider(
      options(
        providerSettings(real.issuer, {
          extraParams: { state: 'x', redirect_uri: 'https://evil.example', prompt: 'login' },
        }),
        {},
      ),
    )
    const url = await meddling.authorizationUrl({
      redirectUri: REDIRECT_URI,
      state: 's',
      nonce: 'n',
      codeVerifier: VERIFIER,
    })
    assert.ok(url.searchParams.has('request_uri'), 'the provider took it, so redirect_uri was ours')
    meddling.close()
  })
})
