import { randomBytes } from 'node:crypto'
import { secret } from '../../config/secret.ts'
import type { OAuthClient, Require, ServiceSettings, Settings } from '../../config/types.ts'
import { createBroker } from '../../middleware/broker/broker.ts'
import type { BrokerOptions } from '../../middleware/broker/types.ts'
import { systemClock } from '../../middleware/clock.ts'
import { createProvider } from '../../middleware/provider/provider.ts'
import type { Provider } from '../../middleware/provider/types.ts'
import {
  type BffEvent,
  type Broker,
  type Clock,
  type EndReason,
  type EpochMs,
  type Handle,
  type LiveSession,
  LOGIN_TOKEN,
  type ServiceToken,
  type SessionId,
  type TokenAnswer,
  type TokenId,
} from '../../middleware/types.ts'
import { type BadProvider, startBadProvider } from '../provider/bad-provider.ts'
import { providerSettings } from '../provider/fixtures.ts'
import { createMemoryStores, type MemoryStores } from './memory-stores.ts'

export const ANALYTICS = 'https://analytics.example.com'
export const CRUD = 'https://crud.example.com'
const ANY: Require = { groups: [], scopes: [], claims: {}, acr: [], networks: [] }

export function service(
  name: string,
  audience: string | undefined,
  more: Partial<ServiceSettings> = {},
): ServiceSettings {
  return {
    name,
    ...(audience === undefined ? {} : { audience }),
    scopes: [],
    audienceParameter: 'audience',
    extraParams: {},
    trustOpaque: false,
    allowOtherAudiences: false,
    resources: [],
    audiences: [],
    require: ANY,
    ...more,
  }
}

export interface World {
  readonly idp: BadProvider
  readonly provider: Provider
  readonly stores: MemoryStores
  readonly brokers: readonly Broker[]
  readonly events: BffEvent[]
  readonly ended: { id: SessionId; reason: EndReason }[]
  readonly services: Map<string, ServiceSettings>
  readonly clients: Map<string, OAuthClient>
  /** Wall clock offset; sleeping is 50 times as quick as written. */
  readonly time: { offsetMs: number }
  /** Calling it makes a new generation, as a reload does. */
  reload(): void
  signIn(id: string, more?: SignIn): Promise<LiveSession>
  load(id: SessionId): Promise<LiveSession | undefined>
  ask(
    live: LiveSession,
    service: string,
    o?: { readonly rejected?: TokenId; readonly broker?: number },
  ): Promise<TokenAnswer>
  tokenEndpoint(reply: (form: URLSearchParams) => Record<string, unknown> | { status: number; json?: unknown }): void
  close(): Promise<void>
}

export interface SignIn {
  readonly refreshToken?: string | undefined
  readonly loginToken?: Partial<ServiceToken> | undefined
  readonly scopes?: readonly string[]
  readonly identity?: Record<string, unknown>
}

export async function createWorld(
  o: {
    readonly replicas?: number
    readonly deadlineMs?: number
    readonly authorizeSignIn?: BrokerOptions['authorizeSignIn']
  } = {},
): Promise<World> {
  const idp = await startBadProvider()
  const time = { offsetMs: 0 }
  const clock: Clock = {
    wallMs: () => (Date.now() + time.offsetMs) as EpochMs,
    monoMs: () => performance.now() + time.offsetMs,
    sleep: (ms, stop) => systemClock.sleep(ms / 50, stop),
  }
  const events: BffEvent[] = []
  const emit = (e: BffEvent): void => void events.push(e)
  const random = (n: number): Uint8Array => new Uint8Array(randomBytes(n))
  const provider = createProvider({ settings: providerSettings(idp.issuer), clock, emit, random, timeoutMs: 2_000 })
  await provider.ready()
  const stores = createMemoryStores(() => clock.wallMs())
  const services = new Map([service('analytics', ANALYTICS), service('crud', CRUD)].map((s) => [s.name, s]))
  const clients = new Map<string, OAuthClient>([
    ['machine', { clientId: 'bff-m2m', auth: { kind: 'client_secret_post', secret: secret('m2m-secret') } }],
  ])
  const tokens = {
    audienceParameter: 'audience',
    warmUp: 'login',
    // Sleep runs fifty times as fast here, the machine does not: eight seconds of its own.
    deadlineMs: o.deadlineMs ?? 400_000,
    invalidGrantGraceMs: 60_000,
  }
  let settings = { services, clients, tokens } as unknown as Settings
  const ended: World['ended'] = []
  const options: BrokerOptions = {
    settings: () => settings,
    providers: new Map([['default', provider]]),
    sessions: stores.sessions,
    vault: stores.vault,
    leases: stores.leases,
    clock,
    emit,
    random,
    mostBearers: 5,
    end: async (ids, reason) => {
      for (const id of await stores.sessions.end(ids, reason)) ended.push({ id, reason })
    },
    ...(o.authorizeSignIn === undefined ? {} : { authorizeSignIn: o.authorizeSignIn }),
  }
  const brokers = Array.from({ length: o.replicas ?? 1 }, () => createBroker(options))
  const load = async (id: SessionId): Promise<LiveSession | undefined> => stores.sessions.load(id)

  return {
    idp,
    provider,
    stores,
    brokers,
    events,
    ended,
    services,
    clients,
    time,
    load,
    reload: () => {
      settings = { ...settings }
    },
    signIn: async (id, more = {}) => {
      stores.open(id as SessionId, newSession(idp, clock, id, more))
      const live = await load(id as SessionId)
      if (live === undefined) throw new Error('not opened')
      return live
    },
    ask: async (live, name, ask = {}) =>
      brokers[ask.broker ?? 0]!.token({ kind: 'session', session: live }, name, {
        correlationId: 'c1',
        ...(ask.rejected === undefined ? {} : { rejected: ask.rejected }),
      }),
    tokenEndpoint: (reply) =>
      void idp.on.set('/token', (form) => {
        const r = reply(form)
        return typeof r['status'] === 'number' ? r : { json: r }
      }),
    close: async () => {
      await Promise.all(brokers.map((b) => b.drain()))
      provider.close()
      await idp.close()
    },
  }
}

function newSession(idp: BadProvider, clock: Clock, id: string, more: SignIn): Parameters<MemoryStores['open']>[1] {
  const now = clock.wallMs()
  const refreshToken = 'refreshToken' in more ? more.refreshToken : 'rt-0'
  const login: ServiceToken = {
    id: 'login-token' as TokenId,
    service: LOGIN_TOKEN,
    value: secret(idp.accessToken({ aud: 'bff-server' })),
    type: 'Bearer',
    audiences: ['bff-server'],
    scopes: ['openid', 'application.all'],
    receivedAt: now,
    expiresAt: (now + 300_000) as EpochMs,
    ...more.loginToken,
  }
  return {
    record: {
      v: 1,
      handle: `handle-${id}` as Handle,
      provider: 'default',
      issuer: idp.issuer,
      sub: 'alice',
      origin: 'https://app.example.com',
      createdAt: now,
      expiresAt: (now + 43_200_000) as EpochMs,
      ip: '127.0.0.1',
      userAgent: '',
    },
    state: {
      identity: { sub: 'alice', ...more.identity },
      authTime: now,
      scopes: more.scopes ?? ['openid', 'application.all'],
      failed: [],
    },
    refreshToken: refreshToken === undefined ? undefined : secret(refreshToken),
    idToken: undefined,
    tokens: [login],
  }
}

/** A provider that rotates, kills the chain on reuse and gives the audience that was asked. */
export function rotating(
  w: World,
  o: { readonly lifetimeS?: number } = {},
): { readonly reuses: () => number; readonly uses: () => readonly string[] } {
  const used = new Set<string>()
  const uses: string[] = []
  let reuses = 0
  let n = 0
  w.tokenEndpoint((form) => {
    const rt = form.get('refresh_token') ?? ''
    uses.push(rt)
    if (used.has(rt)) {
      reuses++
      return { status: 400, json: { error: 'invalid_grant' } }
    }
    used.add(rt)
    const aud = form.get('audience') ?? form.get('resource') ?? 'bff-server'
    const lifetime = o.lifetimeS ?? 300
    return {
      access_token: w.idp.accessToken({
        aud,
        exp: Math.floor((Date.now() + w.time.offsetMs) / 1000) + lifetime,
        n: n++,
      }),
      token_type: 'Bearer',
      expires_in: lifetime,
      refresh_token: `rt-${randomBytes(6).toString('hex')}`,
    }
  })
  return { reuses: () => reuses, uses: () => uses }
}
