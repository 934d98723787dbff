import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import type { Claims, SessionId } from '../../middleware/types.ts'
import type { SignOptions } from '../provider/bad-provider.ts'
import { ANALYTICS, createWorld, service, type World } from './world.ts'

const S1 = 's1' as SessionId

describe('what a refreshed id token means', () => {
  let w: World
  afterEach(() => w.close())

  const refresh = async (
    claims: Record<string, unknown>,
    identity: Record<string, unknown>,
    sign: SignOptions = {},
  ): Promise<string> => {
    const live = await w.signIn('s1', { identity })
    w.tokenEndpoint(() => ({
      access_token: w.idp.accessToken({ aud: ANALYTICS }),
      token_type: 'Bearer',
      refresh_token: 'rt-1',
      id_token: w.idp.idToken({ nonce: undefined, ...claims }, sign),
    }))
    return (await w.ask(live, 'analytics')).kind
  }
  const identity = async (): Promise<Claims | undefined> => (await w.load(S1))?.state.identity

  it('takes new claims, acr and auth_time', async () => {
    w = await createWorld()
    assert.equal(await refresh({ groups: ['b'], acr: '3', auth_time: 1_700_000_000 }, { groups: ['a'] }), 'token')
    const state = (await w.load(S1))?.state
    assert.deepEqual([state?.identity['groups'], state?.acr, state?.authTime], [['b'], '3', 1_700_000_000_000])
  })

  it('a group that was taken away is gone (CVE-2021-41230)', async () => {
    w = await createWorld()
    w.idp.on.set('/userinfo', () => ({ json: { sub: 'alice', email: 'a@example.com' } }))
    assert.equal(
      await refresh({ name: 'Alice' }, { groups: ['admins'], name: 'Alice', email: 'old@example.com' }),
      'token',
    )
    assert.deepEqual([(await identity())?.['groups'], (await identity())?.['email']], [undefined, 'a@example.com'])
  })

  it('keeps what userinfo told while userinfo cannot be reached', async () => {
    w = await createWorld()
    w.idp.on.set('/userinfo', () => ({ status: 503 }))
    assert.equal(await refresh({}, { email: 'a@example.com' }), 'token')
    assert.equal((await identity())?.['email'], 'a@example.com')
  })

  it('ends the session when it is about somebody else', async () => {
    w = await createWorld()
    assert.equal(await refresh({ sub: 'mallory' }, {}), 'ended')
    assert.deepEqual(w.ended, [{ id: S1, reason: 'not_allowed' }])
  })

  it('keeps the rotated refresh token but no other when its signature is forged', async () => {
    w = await createWorld()
    assert.equal(await refresh({ groups: ['admins'] }, {}, { alg: 'forged' }), 'none')
    assert.equal((await identity())?.['groups'], undefined)
    assert.equal((await w.load(S1))?.tokens.has('analytics'), false)
    assert.equal((await w.stores.vault.refreshToken(S1))?.token.reveal(), 'rt-1')
  })

  it('asks again who may sign in at all', async () => {
    w = await createWorld({
      authorizeSignIn: (claims) => Array.isArray(claims['groups']) && claims['groups'].includes('staff'),
    })
    w.services.set('crud', service('crud', undefined))
    assert.equal(await refresh({ groups: ['staff'] }, { groups: ['staff'] }), 'token')
    assert.equal(await refresh({ groups: ['guests'] }, { groups: ['staff'] }), 'ended')
    assert.deepEqual(w.ended, [{ id: S1, reason: 'not_allowed' }])
  })
})
