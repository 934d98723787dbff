import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { secret } from '../../config/secret.ts'
import type { SessionSettings, Settings } from '../../config/types.ts'
import { decodeJwt } from '../../middleware/broker/audience.ts'
import { createBroker } from '../../middleware/broker/broker.ts'
import { systemClock } from '../../middleware/clock.ts'
import { createProvider } from '../../middleware/provider/provider.ts'
import type { LoginResult, Provider } from '../../middleware/provider/types.ts'
import { openStores, type Stores } from '../../middleware/session/open-stores.ts'
import {
  type BffEvent,
  type Broker,
  type EpochMs,
  type Handle,
  LOGIN_TOKEN,
  type LiveSession,
  type SessionId,
  type TokenAnswer,
  type TokenId,
} from '../../middleware/types.ts'
import { providerSettings, random, REDIRECT_URI } from '../provider/fixtures.ts'
import { type RealProvider, startRealProvider } from '../provider/real-provider.ts'
import { ANALYTICS, CRUD, service } from './world.ts'

const audOf = (a: TokenAnswer): unknown => (a.kind === 'token' ? decodeJwt(a.token.value.reveal())?.['aud'] : a)

describe('a real provider that rotates and kills on reuse, and a real store', () => {
  let real: RealProvider
  let provider: Provider
  let stores: Stores
  let brokers: readonly Broker[]
  const events: BffEvent[] = []
  const emit = (e: BffEvent): void => void events.push(e)
  const secretText = 'a-client-secret-with-%-and-:'

  before(async () => {
    real = await startRealProvider({
      // Its own default: a code redeemed without `resource` gives a token for userinfo, however many were granted.
      useGrantedResource: false,
      clients: [
        {
          client_id: 'bff-server',
          client_secret: secretText,
          redirect_uris: [REDIRECT_URI],
          grant_types: ['authorization_code', 'refresh_token'],
          response_types: ['code'],
        },
        {
          client_id: 'bff-m2m',
          client_secret: 'm2m',
          redirect_uris: [],
          grant_types: ['client_credentials'],
          response_types: [],
        },
      ],
    })
    provider = createProvider({ settings: providerSettings(real.issuer), clock: systemClock, emit, random })
    const settings = {
      secrets: [secret(randomBytes(32).toString('hex'))],
      store: secret('sqlite::memory:'),
      idleTimeoutMs: 1_800_000,
    } as unknown as SessionSettings
    stores = await openStores({ settings, clock: systemClock, emit, random })
    const byResource = { audienceParameter: 'resource', scopes: ['application.all'] } as const
    const all = {
      services: new Map(
        [
          service('analytics', ANALYTICS, byResource),
          service('crud', CRUD, byResource),
          service('batch', ANALYTICS, { ...byResource, strategy: 'client_credentials', client: 'machine' }),
          service('later', 'https://later.example.com', byResource),
        ].map((s) => [s.name, s]),
      ),
      clients: new Map([
        ['machine', { clientId: 'bff-m2m', auth: { kind: 'client_secret_basic', secret: secret('m2m') } }],
      ]),
      tokens: { audienceParameter: 'resource', warmUp: 'login', deadlineMs: 8_000, invalidGrantGraceMs: 60_000 },
    } as unknown as Settings
    const options = {
      settings: () => all,
      providers: new Map([['default', provider]]),
      ...stores,
      clock: systemClock,
      emit,
      random,
    }
    brokers = Array.from({ length: 3 }, () =>
      createBroker({
        ...options,
        end: async (ids, reason) => {
          await stores.sessions.end(ids, reason)
        },
      }),
    )
  })
  after(async () => {
    await Promise.all(brokers.map((b) => b.drain()))
    provider.close()
    await stores.close()
    await real.close()
  })

  const login = async (): Promise<LoginResult> => {
    const checks = { redirectUri: REDIRECT_URI, state: 's', nonce: 'n', codeVerifier: 'v'.repeat(43) }
    return provider.redeem({
      ...checks,
      callbackUrl: await real.signIn(await provider.authorizationUrl({ ...checks, resources: [ANALYTICS, CRUD] })),
    })
  }
  const open = async (name: string): Promise<LiveSession> => {
    const id = name as SessionId
    const result = await login()
    const now = systemClock.wallMs()
    const record = {
      v: 1 as const,
      handle: `h-${name}` as Handle,
      provider: 'default',
      issuer: result.issuer,
      sub: result.sub,
      origin: 'http://app.localhost:8000',
      createdAt: now,
      expiresAt: (now + 3_600_000) as EpochMs,
      ip: '',
      userAgent: '',
    }
    await stores.sessions.open(id, {
      record,
      state: { identity: result.identity, authTime: now, scopes: result.scopes, failed: [] },
      refreshToken: result.refreshToken,
      idToken: result.idToken,
      tokens: [
        {
          id: 'login' as TokenId,
          service: LOGIN_TOKEN,
          value: result.accessToken,
          type: 'Bearer',
          audiences: [],
          scopes: result.scopes,
          receivedAt: now,
          expiresAt: undefined,
        },
      ],
    })
    const saved = await stores.expressStore()
    await new Promise<void>((resolve, reject) => {
      const cookie = { originalMaxAge: null } as never
      saved.set(name, { cookie, bff: record }, (e: unknown) =>
        e === undefined || e === null ? resolve() : reject(new Error('not saved', { cause: e })),
      )
    })
    return (await stores.sessions.load(id))!
  }

  it('R9 R11 R14 gives each service a token of its own audience, and tells which were mapped', async () => {
    const live = await open('s1')
    assert.deepEqual(await brokers[0]!.warmUp(live, 'c1'), ['analytics', 'batch', 'crud'])
    assert.deepEqual(events.find((e) => e.name === 'bff_service_tokens_mapped')?.fields, {
      services: ['analytics', 'batch', 'crud'],
    })
    const now = (await stores.sessions.load(live.id))!
    for (const [name, aud] of [
      ['analytics', ANALYTICS],
      ['crud', CRUD],
      ['batch', ANALYTICS],
    ] as const) {
      const warm = brokers[0]!.token({ kind: 'session', session: now }, name, { correlationId: 'c' })
      assert.ok(!(warm instanceof Promise), `${name} is warm`)
      assert.equal(audOf(warm), aud)
    }
    assert.deepEqual(
      brokers[0]!.services(now),
      ['analytics', 'crud', 'batch'],
      'the one that the provider does not know dropped out',
    )
  })

  it('R19 three replicas that refresh at once never use a refresh token twice', async () => {
    const live = await open('s2')
    for (let round = 0; round < 6; round++) {
      const now = (await stores.sessions.load(live.id))!
      const asks = brokers.flatMap((b) =>
        (['analytics', 'crud'] as const).map(async (name) => {
          const held = now.tokens.get(name)
          return [
            name,
            await b.token({ kind: 'session', session: now }, name, {
              correlationId: 'c',
              ...(held === undefined || round % 2 === 1 ? {} : { rejected: held.id }),
            }),
          ] as const
        }),
      )
      for (const [name, answer] of await Promise.all(asks)) {
        if (answer.kind === 'none') continue
        assert.equal(audOf(answer), name === 'crud' ? CRUD : ANALYTICS)
      }
    }
    const end = (await stores.sessions.load(live.id))!
    assert.equal(end.state.suspendedUntil, undefined)
    assert.equal(
      (
        await provider.tokenRequest({
          grant_type: 'refresh_token',
          refresh_token: (await stores.vault.refreshToken(live.id))!.token.reveal(),
        })
      ).kind,
      'ok',
      'the chain lives',
    )
  })

  it('R15 a service that became known works after the next sign-in', async () => {
    const first = await open('s3')
    assert.equal(
      (await brokers[0]!.token({ kind: 'session', session: first }, 'later', { correlationId: 'c' })).kind,
      'none',
    )
    const second = await open('s4')
    assert.equal(
      (await brokers[0]!.token({ kind: 'session', session: second }, 'analytics', { correlationId: 'c' })).kind,
      'token',
    )
  })

  it('R3 no event holds a token', async () => {
    const text = JSON.stringify(events)
    for (const id of ['s1', 's2'] as SessionId[]) {
      const live = await stores.sessions.load(id)
      for (const t of live?.tokens.values() ?? []) assert.ok(!text.includes(t.value.reveal()))
      assert.ok(!text.includes((await stores.vault.refreshToken(id))!.token.reveal()))
    }
    assert.doesNotMatch(text, /eyJ/)
  })
})
