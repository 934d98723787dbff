import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { secret } from '../../config/secret.ts'
import { decodeJwt } from '../../middleware/broker/audience.ts'
import { type EpochMs, LOGIN_TOKEN, type SessionId, type TokenAnswer, type TokenId } from '../../middleware/types.ts'
import { ANALYTICS, createWorld, CRUD, rotating, service, type World } from './world.ts'

const audOf = (a: TokenAnswer): unknown => (a.kind === 'token' ? decodeJwt(a.token.value.reveal())?.['aud'] : a.kind)
const S1 = 's1' as SessionId
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

describe('the strategies', () => {
  let w: World
  beforeEach(async () => {
    w = await createWorld()
  })
  afterEach(() => w.close())

  describe('login_token', () => {
    it('R9 sends the login’s own token where its audience fits, and only there', async () => {
      const live = await w.signIn('s1', { refreshToken: undefined, loginToken: { audiences: [ANALYTICS] } })
      const answer = w.brokers[0]!.token({ kind: 'session', session: live }, 'analytics', { correlationId: 'c' })
      assert.ok(!(answer instanceof Promise) && answer.kind === 'token')
      assert.deepEqual([answer.token.id, answer.token.service], ['login-token', 'analytics'])
      assert.equal((await w.ask(live, 'crud')).kind, 'none')
      assert.equal(w.idp.forms().length, 0)
    })

    it('R18 is introspected where it is opaque, once', async () => {
      w.idp.on.set('/introspect', () => ({ json: { active: true, aud: ANALYTICS } }))
      const live = await w.signIn('s1', {
        refreshToken: undefined,
        loginToken: { audiences: [], value: secret('opaque') },
      })
      assert.equal((await w.ask(live, 'analytics')).kind, 'token')
      assert.equal((await w.ask((await w.load(S1))!, 'analytics')).kind, 'token')
      assert.equal((await w.ask((await w.load(S1))!, 'crud')).kind, 'none')
      assert.equal(w.idp.forms('/introspect').length, 2)
    })

    it('is refreshed plainly when it is old', async () => {
      w.services.set('analytics', service('analytics', ANALYTICS, { strategy: 'login_token' }))
      w.tokenEndpoint(() => ({
        access_token: w.idp.accessToken({ aud: ANALYTICS }),
        token_type: 'Bearer',
        refresh_token: 'rt-1',
      }))
      const live = await w.signIn('s1', { loginToken: { audiences: [ANALYTICS], expiresAt: Date.now() as EpochMs } })
      assert.equal(audOf(await w.ask(live, 'analytics')), ANALYTICS)
      assert.deepEqual([...(w.idp.forms()[0]?.keys() ?? [])].sort(), ['grant_type', 'refresh_token'])
      assert.notEqual((await w.load(S1))?.tokens.get(LOGIN_TOKEN)?.id, 'login-token')
    })
  })

  describe('token_exchange', () => {
    beforeEach(() => {
      w.services.set(
        'analytics',
        service('analytics', ANALYTICS, {
          strategy: 'token_exchange',
          scopes: ['application.all'],
          requestedTokenType: 'urn:ietf:params:oauth:token-type:jwt',
          extraParams: { connection: 'x' },
        }),
      )
    })

    it('sends the login token as subject, with openid beside the scope (Keycloak), and stores no refresh token', async () => {
      w.tokenEndpoint(() => ({
        access_token: w.idp.accessToken({ aud: ANALYTICS }),
        token_type: 'Bearer',
        issued_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        refresh_token: 'rt-exchange',
        scope: 'openid application.all',
      }))
      const live = await w.signIn('s1')
      assert.equal(audOf(await w.ask(live, 'analytics')), ANALYTICS)
      const form = Object.fromEntries(w.idp.forms()[0] ?? [])
      assert.equal(form['subject_token'], live.tokens.get(LOGIN_TOKEN)?.value.reveal())
      assert.deepEqual(
        [
          form['grant_type'],
          form['scope'],
          form['audience'],
          form['subject_token_type'],
          form['requested_token_type'],
          form['connection'],
        ],
        [
          EXCHANGE,
          'openid application.all',
          ANALYTICS,
          'urn:ietf:params:oauth:token-type:access_token',
          'urn:ietf:params:oauth:token-type:jwt',
          'x',
        ],
      )
      assert.equal((await w.stores.vault.refreshToken(S1))?.token.reveal(), 'rt-0')
    })

    it('refreshes a dead subject once, though the provider calls it invalid_request', async () => {
      const live = await w.signIn('s1', { loginToken: { receivedAt: (Date.now() - 60_000) as EpochMs } })
      const old = live.tokens.get(LOGIN_TOKEN)?.value.reveal()
      w.tokenEndpoint((form) => {
        if (form.get('grant_type') === 'refresh_token')
          return {
            access_token: w.idp.accessToken({ aud: 'bff-server', n: 2 }),
            token_type: 'Bearer',
            refresh_token: 'rt-1',
          }
        return form.get('subject_token') === old
          ? { status: 400, json: { error: 'invalid_request', error_description: 'Invalid token' } }
          : { access_token: w.idp.accessToken({ aud: ANALYTICS }), token_type: 'Bearer' }
      })
      assert.equal(audOf(await w.ask(live, 'analytics')), ANALYTICS)
      assert.equal((await w.stores.vault.refreshToken(S1))?.token.reveal(), 'rt-1')
    })

    it('does not refresh a fresh subject when the exchange itself is refused', async () => {
      w.tokenEndpoint(() => ({
        status: 400,
        json: { error: 'invalid_request', error_description: 'Requested audience not available' },
      }))
      assert.deepEqual(await w.ask(await w.signIn('s1'), 'analytics'), { kind: 'none', reason: 'invalid_request' })
      assert.equal(w.idp.forms().length, 1)
      assert.equal(
        w.events.find((e) => e.name === 'token_request_failed')?.fields?.['description'],
        'Requested audience not available',
      )
    })

    it('takes no N_A for an access token', async () => {
      w.tokenEndpoint(() => ({
        access_token: w.idp.accessToken({ aud: ANALYTICS }),
        token_type: 'N_A',
        issued_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      }))
      assert.equal((await w.ask(await w.signIn('s1'), 'analytics')).kind, 'none')
    })

    it('exchanges a machine caller’s own token, and keeps callers apart', async () => {
      w.tokenEndpoint((form) => ({
        access_token: w.idp.accessToken({ aud: ANALYTICS, for: form.get('subject_token') }),
        token_type: 'Bearer',
      }))
      const ask = async (t: string): Promise<TokenAnswer> =>
        w.brokers[0]!.token({ kind: 'bearer', token: secret(t), issuer: w.idp.issuer }, 'analytics', {
          correlationId: 'c',
        })
      const answers = [await ask('token-a'), await ask('token-b'), await ask('token-a')]
      assert.deepEqual(
        answers.map((a) => (a.kind === 'token' ? decodeJwt(a.token.value.reveal())?.['for'] : a)),
        ['token-a', 'token-b', 'token-a'],
      )
      assert.equal(w.idp.forms().length, 2)
    })
  })

  describe('a machine caller’s own token, exchanged', () => {
    const token = (t: string, rejected?: TokenId): Promise<TokenAnswer> =>
      Promise.resolve(
        w.brokers[0]!.token({ kind: 'bearer', token: secret(t), issuer: w.idp.issuer }, 'analytics', {
          correlationId: 'c',
          ...(rejected === undefined ? {} : { rejected }),
        }),
      )
    beforeEach(() => {
      w.services.set('analytics', service('analytics', ANALYTICS, { strategy: 'token_exchange' }))
      w.tokenEndpoint(() => ({ access_token: w.idp.accessToken({ aud: ANALYTICS }), token_type: 'Bearer' }))
    })

    it('is exchanged once, however many requests want it at once', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => token('t')))
      assert.equal(new Set(answers.map((a) => (a.kind === 'token' ? a.token.id : a.kind))).size, 1)
      assert.equal(w.idp.forms().length, 1)
    })

    it('as a jwt_bearer assertion, where the service says so', async () => {
      w.services.set('analytics', service('analytics', ANALYTICS, { strategy: 'jwt_bearer' }))
      assert.equal(audOf(await token('t')), ANALYTICS)
      const form = w.idp.forms()[0]
      assert.equal(form?.get('grant_type'), 'urn:ietf:params:oauth:grant-type:jwt-bearer')
      assert.equal(form.get('assertion'), 't')
    })

    it('is exchanged anew after an upstream’s 401, but not for each of them', async () => {
      const first = await token('t')
      assert.ok(first.kind === 'token')
      const second = await token('t', first.token.id)
      assert.ok(second.kind === 'token' && second.token.id !== first.token.id)
      assert.equal((await token('t', second.token.id)).kind, 'none')
      assert.equal(w.idp.forms().length, 2)
    })

    it('is not asked for again at once after a refusal, which is told once and is nobody else’s', async () => {
      w.tokenEndpoint((form) =>
        form.get('subject_token') === 'bad'
          ? { status: 400, json: { error: 'invalid_grant' } }
          : { access_token: w.idp.accessToken({ aud: ANALYTICS }), token_type: 'Bearer' },
      )
      for (let i = 0; i < 3; i++) assert.deepEqual(await token('bad'), { kind: 'none', reason: 'invalid_grant' })
      assert.equal(w.idp.forms().length, 1)
      assert.equal(w.events.filter((e) => e.name === 'token_request_failed').length, 1)
      assert.equal((await token('good')).kind, 'token')
    })

    it('is kept for so many callers and no more: the oldest is exchanged again', async () => {
      for (const t of ['1', '2', '3', '4', '5', '6']) await token(t)
      await token('6')
      await token('2')
      assert.equal(w.idp.forms().length, 6)
      await token('1')
      assert.equal(w.idp.forms().length, 7)
    })

    it('is not taken from another client’s time after a reload', async () => {
      await token('t')
      w.services.set('analytics', service('analytics', ANALYTICS, { strategy: 'jwt_bearer' }))
      await token('t')
      assert.equal(w.idp.forms().length, 2)
    })
  })

  it('jwt_bearer sends the login token as assertion, on behalf of the user (Entra ID)', async () => {
    w.services.set(
      'analytics',
      service('analytics', ANALYTICS, {
        strategy: 'jwt_bearer',
        audienceParameter: 'none',
        scopes: ['api://analytics/.default'],
      }),
    )
    w.tokenEndpoint(() => ({
      access_token: w.idp.accessToken({ aud: ANALYTICS, scp: 'read' }),
      token_type: 'Bearer',
      scope: 'api://analytics/read',
    }))
    assert.equal(audOf(await w.ask(await w.signIn('s1'), 'analytics')), ANALYTICS)
    const form = Object.fromEntries(w.idp.forms()[0] ?? [])
    assert.deepEqual(
      [form['requested_token_use'], form['scope'], form['audience']],
      ['on_behalf_of', 'api://analytics/.default', undefined],
    )
    assert.ok(form['assertion'])
  })

  describe('client_credentials', () => {
    beforeEach(() => {
      w.services.set(
        'batch',
        service('batch', 'https://batch.example.com', { strategy: 'client_credentials', client: 'machine' }),
      )
      w.tokenEndpoint((form) => ({
        access_token: w.idp.accessToken({ aud: form.get('audience'), sub: 'bff-m2m' }),
        token_type: 'Bearer',
        expires_in: 300,
      }))
    })

    it('R13 R16 comes from the second client, one for all users, once', async () => {
      const sessions = await Promise.all(['s1', 's2', 's3'].map((id) => w.signIn(id)))
      const answers = await Promise.all([
        ...sessions.map((s) => w.ask(s, 'batch')),
        w.brokers[0]!.token({ kind: 'client' }, 'batch', { correlationId: 'c' }),
      ])
      assert.equal(new Set(answers.map((a) => (a.kind === 'token' ? a.token.id : a.kind))).size, 1)
      assert.deepEqual(
        w.idp.forms().map((f) => [f.get('client_id'), f.get('grant_type')]),
        [['bff-m2m', 'client_credentials']],
      )
    })

    it('R16 is never asked as the login client', async () => {
      w.clients.set('machine', { clientId: 'bff-server', auth: { kind: 'none' } })
      assert.equal((await w.ask(await w.signIn('s1'), 'batch')).kind, 'none')
      w.services.set('batch', service('batch', 'https://batch.example.com', { strategy: 'client_credentials' }))
      assert.equal((await w.ask(await w.signIn('s1'), 'batch')).kind, 'none')
      assert.equal(w.idp.forms().length, 0)
    })

    it('gives no machine a user’s service', async () => {
      assert.equal((await w.brokers[0]!.token({ kind: 'client' }, 'analytics', { correlationId: 'c' })).kind, 'none')
    })
  })

  it('a machine caller’s token passes as it is where it is for that very service, else not', async () => {
    const ask = async (aud: unknown): Promise<TokenAnswer> =>
      w.brokers[0]!.token(
        { kind: 'bearer', token: secret(w.idp.accessToken({ aud })), issuer: 'https://partner.example.com' },
        'analytics',
        { correlationId: 'c' },
      )
    assert.equal(audOf(await ask(ANALYTICS)), ANALYTICS)
    assert.equal((await ask([ANALYTICS, CRUD])).kind, 'none')
    assert.equal((await ask(CRUD)).kind, 'none')
  })

  describe('warm-up', () => {
    it('R11 gets a token for every service and tells which were mapped', async () => {
      rotating(w)
      const mapped = await w.brokers[0]!.warmUp(await w.signIn('s1'), 'c9')
      assert.deepEqual(mapped, ['analytics', 'crud'])
      const line = w.events.find((e) => e.name === 'bff_service_tokens_mapped')
      assert.deepEqual([line?.correlationId, line?.fields], ['c9', { services: ['analytics', 'crud'] }])
      assert.deepEqual([...((await w.load(S1))?.tokens.keys() ?? [])].sort(), [LOGIN_TOKEN, 'analytics', 'crud'])
    })

    it('does not hold the sign-in for a slow provider', async () => {
      const gate = Promise.withResolvers<undefined>()
      w.idp.on.set('/token', () => ({
        after: gate.promise,
        json: { access_token: w.idp.accessToken({ aud: ANALYTICS }), token_type: 'Bearer' },
      }))
      assert.deepEqual(await w.brokers[0]!.warmUp(await w.signIn('s1'), 'c'), [])
      gate.resolve(undefined)
      await w.brokers[0]!.drain()
      assert.ok((await w.load(S1))?.tokens.has('analytics'))
    })
  })
})
