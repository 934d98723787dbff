import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { SessionId, TokenAnswer } from '../../middleware/types.ts'
import { StoreUnavailable } from '../../middleware/types.ts'
import { decodeJwt } from '../../middleware/broker/audience.ts'
import { ANALYTICS, createWorld, CRUD, rotating, service, type World } from './world.ts'

const audOf = (a: TokenAnswer): unknown => (a.kind === 'token' ? decodeJwt(a.token.value.reveal())?.['aud'] : a.kind)
const S1 = 's1' as SessionId

describe('a token by refresh', () => {
  let w: World
  beforeEach(async () => {
    w = await createWorld({ deadlineMs: 50_000 })
  })
  afterEach(() => w.close())

  it('R9 R14 asks for the service’s own audience, stores the rotated refresh token, and answers warm without a promise', async () => {
    rotating(w)
    const live = await w.signIn('s1')
    assert.equal(audOf(await w.ask(live, 'analytics')), ANALYTICS)
    const after = (await w.load(S1))!
    const warm = w.brokers[0]!.token({ kind: 'session', session: after }, 'analytics', { correlationId: 'c' })
    assert.ok(!(warm instanceof Promise), 'a value')
    assert.equal(w.idp.forms().length, 1)
    assert.equal((await w.stores.vault.refreshToken(S1))?.token.reveal(), w.stores.refreshTokensStored[0])
  })

  it('flies once for many who ask at once, and never mixes services up (DuendeSoftware/foss#360)', async () => {
    const idp = rotating(w)
    const live = await w.signIn('s1')
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => w.ask(live, i % 2 === 0 ? 'analytics' : 'crud')),
    )
    answers.forEach((a, i) => assert.equal(audOf(a), i % 2 === 0 ? ANALYTICS : CRUD))
    assert.equal(idp.uses().length, 2)
    assert.equal(idp.reuses(), 0)
  })

  it('R9 drops a token of a wrong, wider or missing audience, says which came, and does not ask on every request', async () => {
    for (const aud of [CRUD, [ANALYTICS, CRUD], undefined, `${ANALYTICS}/`]) {
      const live = await w.signIn(`s-${JSON.stringify(aud)}`)
      w.tokenEndpoint(() => ({ access_token: w.idp.accessToken({ aud }), token_type: 'Bearer', refresh_token: 'rt-1' }))
      const before = w.idp.forms().length
      assert.equal((await w.ask(live, 'analytics')).kind, 'none')
      assert.equal((await w.ask(live, 'analytics')).kind, 'none')
      assert.equal(w.idp.forms().length, before + 1)
      const after = (await w.load(live.id))!
      assert.equal(after.tokens.has('analytics'), false)
      assert.deepEqual(after.state.failed, ['analytics'])
      assert.deepEqual(w.brokers[0]!.services(after), ['crud'])
      assert.equal(
        (await w.stores.vault.refreshToken(live.id))?.token.reveal(),
        'rt-1',
        'the rotated one is kept all the same',
      )
    }
    const line = w.events.find((e) => e.name === 'token_dropped')
    assert.deepEqual(line?.fields, { service: 'analytics', wanted: ANALYTICS, got: [CRUD], reason: 'audience' })
  })

  it('drops a token of another issuer, an expired one and one without any configured scope', async () => {
    w.services.set('analytics', service('analytics', ANALYTICS, { scopes: ['application.all', 'api.read'] }))
    const wrong: readonly (readonly [string, Record<string, unknown>, Record<string, unknown>])[] = [
      ['issuer', { iss: 'https://evil.example' }, {}],
      ['expired on arrival', { exp: 1 }, {}],
      ['none of the configured scopes', {}, { scope: 'openid other' }],
      ['none of the configured scopes', { scope: 'openid' }, {}],
      ['none of the configured scopes', { scp: ['other'] }, {}],
    ]
    for (const [reason, claims, response] of wrong) {
      const live = await w.signIn(`s-${JSON.stringify([claims, response])}`)
      w.tokenEndpoint(() => ({
        access_token: w.idp.accessToken({ aud: ANALYTICS, ...claims }),
        token_type: 'Bearer',
        ...response,
      }))
      assert.equal((await w.ask(live, 'analytics')).kind, 'none')
      assert.equal(w.events.findLast((e) => e.name === 'token_dropped')?.fields?.['reason'], reason)
    }
  })

  it('asks for those of the configured scopes that login granted, and without any after invalid_scope', async () => {
    w.services.set('analytics', service('analytics', ANALYTICS, { scopes: ['api.read', 'application.all'] }))
    const live = await w.signIn('s1')
    w.tokenEndpoint((form) =>
      form.has('scope')
        ? { status: 400, json: { error: 'invalid_scope' } }
        : { access_token: w.idp.accessToken({ aud: ANALYTICS }), token_type: 'Bearer', scope: 'application.all' },
    )
    assert.equal(audOf(await w.ask(live, 'analytics')), ANALYTICS)
    assert.deepEqual(
      w.idp.forms().map((f) => f.get('scope')),
      ['application.all', null],
    )
  })

  it('sends audience, resource, both or none as the service says', async () => {
    for (const [mode, audience, resource] of [
      ['audience', 1, 0],
      ['resource', 0, 1],
      ['both', 1, 1],
      ['none', 0, 0],
    ] as const) {
      w.services.set('analytics', service('analytics', ANALYTICS, { audienceParameter: mode }))
      const live = await w.signIn(`s-${mode}`)
      w.tokenEndpoint(() => ({ access_token: w.idp.accessToken({ aud: ANALYTICS }), token_type: 'Bearer' }))
      await w.ask(live, 'analytics')
      const form = w.idp.forms().at(-1)
      assert.deepEqual([form?.getAll('audience').length, form?.getAll('resource').length], [audience, resource])
    }
  })

  it('judges an opaque token by introspection, or trusts it where told to', async () => {
    w.tokenEndpoint(() => ({ access_token: 'opaque-token', token_type: 'Bearer', expires_in: 60 }))
    w.idp.on.set('/introspect', () => ({ json: { active: true, aud: ANALYTICS, scope: 'application.all' } }))
    assert.equal((await w.ask(await w.signIn('s1'), 'analytics')).kind, 'token')
    assert.equal((await w.ask(await w.signIn('s2'), 'crud')).kind, 'none')
    w.idp.on.set('/introspect', () => ({ json: { active: false } }))
    assert.equal((await w.ask(await w.signIn('s3'), 'analytics')).kind, 'none')
    w.idp.on.set('/introspect', () => ({ status: 500 }))
    assert.equal((await w.ask(await w.signIn('s4'), 'analytics')).kind, 'down')
    w.services.set('analytics', service('analytics', ANALYTICS, { trustOpaque: true }))
    assert.equal((await w.ask(await w.signIn('s5'), 'analytics')).kind, 'token')
  })

  it('answers a token that expires soon at once, and refreshes it behind', async () => {
    rotating(w, { lifetimeS: 300 })
    const live = await w.signIn('s1')
    const first = await w.ask(live, 'analytics')
    w.time.offsetMs += 275_000
    const now = (await w.load(S1))!
    const second = w.brokers[0]!.token({ kind: 'session', session: now }, 'analytics', { correlationId: 'c' })
    assert.ok(!(second instanceof Promise) && second.kind === 'token' && first.kind === 'token')
    assert.equal(second.token.id, first.token.id)
    await w.brokers[0]!.drain()
    assert.notEqual((await w.load(S1))?.tokens.get('analytics')?.id, first.token.id)
  })

  it('answers a still valid token while the provider is down, else 503 with a time', async () => {
    rotating(w)
    const live = await w.signIn('s1')
    await w.ask(live, 'analytics')
    w.tokenEndpoint(() => ({ status: 503 }))
    w.time.offsetMs += 280_000
    assert.equal((await w.ask((await w.load(S1))!, 'analytics')).kind, 'token')
    const cold = await w.ask((await w.load(S1))!, 'crud')
    assert.equal(cold.kind, 'down')
    assert.ok(cold.retryAfterS > 0)
    w.time.offsetMs += 30_000
    assert.equal((await w.ask((await w.load(S1))!, 'analytics')).kind, 'down')
    assert.equal(w.ended.length, 0)
  })

  it('answers by the deadline, and stores what comes later', async () => {
    const gate = Promise.withResolvers<undefined>()
    const live = await w.signIn('s1')
    w.idp.on.set('/token', () => ({
      after: gate.promise,
      json: { access_token: w.idp.accessToken({ aud: ANALYTICS }), token_type: 'Bearer', refresh_token: 'rt-late' },
    }))
    assert.equal((await w.ask(live, 'analytics')).kind, 'down')
    gate.resolve(undefined)
    await w.brokers[0]!.drain()
    assert.equal((await w.stores.vault.refreshToken(S1))?.token.reveal(), 'rt-late')
    assert.ok((await w.load(S1))?.tokens.has('analytics'))
  })

  it('does not bring back a session that ended during the call, and revokes what came', async () => {
    const gate = Promise.withResolvers<undefined>()
    const asked = Promise.withResolvers<undefined>()
    const live = await w.signIn('s1')
    w.idp.on.set('/revoke', () => ({ status: 200 }))
    w.idp.on.set('/token', () => {
      asked.resolve(undefined)
      return {
        after: gate.promise,
        json: { access_token: w.idp.accessToken({ aud: ANALYTICS }), token_type: 'Bearer', refresh_token: 'rt-orphan' },
      }
    })
    const answer = w.ask(live, 'analytics')
    await asked.promise
    await w.stores.sessions.end([S1], 'logout')
    gate.resolve(undefined)
    assert.equal((await answer).kind, 'ended')
    await w.brokers[0]!.drain()
    assert.equal(await w.load(S1), undefined)
    assert.equal(w.idp.forms('/revoke')[0]?.get('token'), 'rt-orphan')
  })

  it('tells the end, and no outage, where the sign-out has revoked the refresh token before it was used', async () => {
    const gate = Promise.withResolvers<undefined>()
    const asked = Promise.withResolvers<undefined>()
    const live = await w.signIn('s1')
    w.idp.on.set('/token', () => {
      asked.resolve(undefined)
      return { after: gate.promise, status: 400, json: { error: 'invalid_grant' } }
    })
    const answer = w.ask(live, 'analytics')
    await asked.promise
    await w.stores.sessions.end([S1], 'logout')
    gate.resolve(undefined)
    assert.deepEqual(await answer, { kind: 'ended' })
  })

  it('holds on to a rotated refresh token while the store is away', async () => {
    const live = await w.signIn('s1')
    rotating(w)
    let faults = 3
    w.stores.before = async (call) => {
      if (call === 'rotate' && faults-- > 0) throw new StoreUnavailable('away')
    }
    assert.equal((await w.ask(live, 'analytics')).kind, 'token')
    assert.equal(w.stores.refreshTokensStored.length, 1)
  })

  it('says that the store is down when it is', async () => {
    const live = await w.signIn('s1')
    w.stores.before = async () => {
      throw new StoreUnavailable('away')
    }
    assert.deepEqual(await w.ask(live, 'analytics'), { kind: 'down', what: 'store', retryAfterS: 1 })
    w.stores.before = async () => undefined
  })

  it('R18 meets unsupported_grant_type with one clear event and no loop', async () => {
    w.tokenEndpoint(() => ({ status: 400, json: { error: 'unsupported_grant_type' } }))
    for (const id of ['s1', 's2', 's3']) {
      const live = await w.signIn(id)
      assert.deepEqual(await w.ask(live, 'analytics'), { kind: 'none', reason: 'unsupported_grant_type' })
    }
    assert.equal(w.idp.forms().length, 1)
    assert.equal(w.events.filter((e) => e.name === 'token_request_failed').length, 1)
    w.reload()
    await w.ask(await w.signIn('s4'), 'analytics')
    assert.equal(w.idp.forms().length, 2, 'a reload asks again')
  })

  it('R15 a service refused for this sign-in is asked for again after the next', async () => {
    w.tokenEndpoint(() => ({ status: 400, json: { error: 'invalid_target' } }))
    const live = await w.signIn('s1')
    assert.equal((await w.ask(live, 'analytics')).kind, 'none')
    rotating(w)
    assert.equal((await w.ask(await w.signIn('s2'), 'analytics')).kind, 'token')
  })

  it('gives another token after an upstream’s 401, once in a while', async () => {
    rotating(w)
    const first = await w.ask(await w.signIn('s1'), 'analytics')
    const live = (await w.load(S1))!
    assert.ok(first.kind === 'token')
    const [a, b] = await Promise.all([
      w.ask(live, 'analytics', { rejected: first.token.id }),
      w.ask(live, 'analytics', { rejected: first.token.id }),
    ])
    assert.ok(a.kind === 'token' && b.kind === 'token' && a.token.id === b.token.id && a.token.id !== first.token.id)
    assert.equal(w.idp.forms().length, 2)
    const stale = await w.ask(live, 'analytics', { rejected: first.token.id })
    assert.ok(stale.kind === 'token' && stale.token.id === a.token.id, 'somebody else already brought it')
    assert.equal((await w.ask((await w.load(S1))!, 'analytics', { rejected: a.token.id })).kind, 'none')
    assert.equal(w.idp.forms().length, 2)
  })

  it('counts a held token as none once a reload gives its service another audience', async () => {
    rotating(w)
    await w.ask(await w.signIn('s1'), 'analytics')
    w.services.set('analytics', service('analytics', 'https://new.example.com'))
    w.reload()
    assert.equal(audOf(await w.ask((await w.load(S1))!, 'analytics')), 'https://new.example.com')
  })

  it('has none for a service without audience, or without a refresh token to ask with', async () => {
    w.services.set('plain', service('plain', undefined))
    const live = await w.signIn('s1', { refreshToken: undefined })
    assert.equal((await w.ask(live, 'plain')).kind, 'none')
    assert.equal((await w.ask(live, 'nowhere')).kind, 'none')
    w.services.set('analytics', service('analytics', ANALYTICS, { strategy: 'refresh' }))
    assert.equal((await w.ask(live, 'analytics')).kind, 'none')
    assert.equal(w.idp.forms().length, 0)
  })
})
