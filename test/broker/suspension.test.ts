import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { secret } from '../../config/secret.ts'
import type { SessionId } from '../../middleware/types.ts'
import { ANALYTICS, createWorld, rotating, type World } from './world.ts'

const S1 = 's1' as SessionId
const INVALID_GRANT = { status: 400, json: { error: 'invalid_grant' } }

describe('a session whose refresh token the provider calls invalid', () => {
  let w: World
  beforeEach(async () => {
    w = await createWorld()
  })
  afterEach(() => w.close())

  /** Waits for something that a background try brings about; the runner's timeout is the limit. */
  const until = async (f: () => boolean | Promise<boolean>): Promise<void> => {
    while (!(await f())) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  it('R19 gets one more try before anything is concluded', async () => {
    let n = 0
    w.tokenEndpoint(() =>
      n++ === 0 ? INVALID_GRANT : { access_token: w.idp.accessToken({ aud: ANALYTICS }), token_type: 'Bearer' },
    )
    assert.equal((await w.ask(await w.signIn('s1'), 'analytics')).kind, 'token')
    assert.equal((await w.load(S1))?.state.suspendedUntil, undefined)
  })

  it('R19 is tried with the newest refresh token where somebody rotated it meanwhile', async () => {
    const live = await w.signIn('s1')
    w.tokenEndpoint((form) => {
      if (form.get('refresh_token') === 'rt-newer')
        return { access_token: w.idp.accessToken({ aud: ANALYTICS }), token_type: 'Bearer' }
      return INVALID_GRANT
    })
    w.idp.on.set(
      '/token',
      wrap(w, async () => {
        await w.stores.vault.rotate(S1, { refreshToken: secret('rt-newer'), tokens: [] }, Number.MAX_SAFE_INTEGER)
      }),
    )
    assert.equal((await w.ask(live, 'analytics')).kind, 'token')
    assert.deepEqual(
      w.idp.forms().map((f) => f.get('refresh_token')),
      ['rt-0', 'rt-newer'],
    )
  })

  it('R19 is suspended after the second, tried in a trickle, and good again after the first success', async () => {
    w.tokenEndpoint(() => INVALID_GRANT)
    const live = await w.signIn('s1')
    assert.deepEqual(await w.ask(live, 'analytics'), { kind: 'ended' })
    assert.equal(w.idp.forms().length, 3, 'for the service, plainly, and plainly after a moment')
    const suspended = (await w.load(S1))!
    assert.ok(suspended.state.suspendedUntil !== undefined && suspended.state.suspendedUntil > Date.now())
    for (let i = 0; i < 20; i++) assert.deepEqual(await w.ask(suspended, 'analytics'), { kind: 'ended' })
    assert.ok(w.idp.forms().length <= 5, 'no request of a suspended session reaches the provider by itself')
    rotating(w)
    await until(async () => (await w.load(S1))?.state.suspendedUntil === undefined)
    assert.equal((await w.ask((await w.load(S1))!, 'analytics')).kind, 'token')
    assert.deepEqual(w.ended, [])
  })

  it('R19 is good where a plain refresh works: then only that service has no token (Entra ID, consent missing)', async () => {
    let n = 0
    w.tokenEndpoint((form) =>
      form.get('audience') === ANALYTICS
        ? INVALID_GRANT
        : { access_token: w.idp.accessToken({ aud: 'bff-server' }), token_type: 'Bearer', refresh_token: `rt-${++n}` },
    )
    const live = await w.signIn('s1')
    assert.deepEqual(await w.ask(live, 'analytics'), { kind: 'none', reason: 'invalid_grant' })
    assert.equal((await w.load(S1))?.state.suspendedUntil, undefined)
    assert.equal((await w.stores.vault.refreshToken(S1))?.token.reveal(), 'rt-1')
    await w.ask((await w.load(S1))!, 'analytics')
    assert.equal(w.idp.forms().length, 3, 'and it is not asked on every request')
  })

  it('R19 ends when the grace is over and it is invalid still', async () => {
    w.tokenEndpoint(() => INVALID_GRANT)
    const live = await w.signIn('s1')
    await w.ask(live, 'analytics')
    w.time.offsetMs += 61_000
    await until(() => w.ended.length > 0)
    assert.deepEqual(w.ended, [{ id: S1, reason: 'invalid_grant' }])
    assert.equal(await w.load(S1), undefined)
  })

  it('R19 is never suspended by 401 or 5xx, however often', async () => {
    const live = await w.signIn('s1')
    for (const status of [401, 500, 503, 401, 500]) {
      w.tokenEndpoint(() => ({ status, json: { error: 'invalid_grant' } }))
      assert.equal((await w.ask(live, 'analytics')).kind, 'down')
    }
    assert.equal((await w.load(S1))?.state.suspendedUntil, undefined)
    assert.deepEqual(w.ended, [])
  })
})

function wrap(w: World, first: () => Promise<void>): (form: URLSearchParams) => Promise<never> {
  const inner = w.idp.on.get('/token')!
  let done = false
  return async (form) => {
    const reply = await inner(form)
    if (!done) await first()
    done = true
    return reply as never
  }
}
