import type { BearerIssuer, ServiceSettings } from '../../config/types.ts'
import { secret } from '../../config/secret.ts'
import { audienceFits, readAudiences, readScopes } from '../broker/audience.ts'
import { createIdentity } from '../identity/identity.ts'
import type { Target } from '../mouths/target.ts'
import { otherToken } from '../provider/access-token.ts'
import type {
  BearerVerdict,
  Claims,
  DecideDeps,
  EpochMs,
  Generation,
  Handle,
  LiveSession,
  ServiceToken,
  SessionId,
  TokenAnswer,
  TokenId,
} from '../types.ts'

export interface Question {
  readonly method: string
  readonly url: string
  readonly claims: Claims | undefined
  readonly ip: string | undefined
}
export interface Place extends Target {
  readonly origin: string
  readonly hostname: string
}
/** What is explained: a question, and where it leads. */
export interface Subject {
  readonly q: Question
  readonly now: Generation
  readonly place: Place
  /** Those whose token it may be, by its `iss`. */
  readonly issuers: readonly BearerIssuer[]
  readonly machine: boolean
  readonly at: EpochMs
}
/** Of the session that is made up. */
export const ID = 'explain-explain-explain-explain' as SessionId
export const KEYS = { session: ['explain'], csrf: [Buffer.alloc(32, 1)] }

/** Issuers are configured with and without a slash at the end. */
export const same = (a: string, b: unknown): boolean =>
  typeof b === 'string' && a.replace(/\/$/, '') === b.replace(/\/$/, '')

/** Stands in for store, broker and issuers: answers at once, from the question alone, and writes nothing. */
export function doubles(s: Subject): DecideDeps {
  const { q, now, place, at } = s
  const claims = q.claims ?? {}
  const never = (): never => {
    throw new Error('explain touches nothing')
  }
  const nothing = (): void => undefined
  const assertion = now.settings.identity.assertion.enabled
    ? (_: unknown, service: string | undefined) => `<assertion for ${service ?? 'our own origin'}>`
    : undefined
  return {
    now,
    clock: { wallMs: () => at, monoMs: () => 0, sleep: never },
    emit: nothing,
    end: nothing,
    touch: nothing,
    random: (n) => new Uint8Array(n),
    cookies: KEYS,
    identityHeaders: createIdentity(now.settings, nothing, assertion),
    sessions: { load: () => sessionOf(claims, place.origin, now, at) } as unknown as DecideDeps['sessions'],
    broker: {
      token: (_: unknown, service: string) => brokered(s, now.settings.services.get(service)),
    } as unknown as DecideDeps['broker'],
    bearers: { verify: (_, names) => machineOf(s, names) },
  }
}

function sessionOf(claims: Claims, origin: string, now: Generation, at: EpochMs): LiveSession {
  const [name, provider] = [...now.settings.providers].find(([, p]) => same(p.issuer.href, claims['iss'])) ??
    [...now.settings.providers][0] ?? ['default', undefined]
  const { auth_time: authTime, acr } = claims
  const signedInAt = typeof authTime === 'number' ? ((authTime * 1000) as EpochMs) : at
  const until = (at + 3_600_000) as EpochMs
  return {
    id: ID,
    record: {
      v: 1,
      handle: '<session handle>' as Handle,
      provider: name,
      issuer: provider?.issuer.href.replace(/\/$/, '') ?? '',
      sub: String(claims['sub']),
      origin,
      createdAt: at,
      expiresAt: until,
      ip: '',
      userAgent: '',
    },
    state: {
      identity: claims,
      // Without `auth_time` the sign-in is taken to be of this moment.
      authTime: signedInAt,
      signedInAt,
      ...(typeof acr === 'string' ? { acr } : {}),
      scopes: [],
      failed: [],
    },
    version: 1,
    idleUntil: until,
    tokens: new Map(),
    hasRefreshToken: true,
  }
}

/** What a route's issuers would make of a token with these claims, were it signed: no `aud` means the one that is wanted. */
function machineOf({ q, issuers, at }: Subject, names: readonly string[]): BearerVerdict {
  const claims = q.claims ?? {}
  const named = issuers.filter((b) => names.includes(b.name))
  if (named.length === 0) return { kind: 'rejected', reason: 'iss is no issuer of this route' }
  const by = named.find((b) => claims['aud'] === undefined || readAudiences(claims['aud']).includes(b.audience))
  if (by === undefined) return { kind: 'rejected', reason: 'aud has not the audience of this issuer' }
  const { exp } = claims
  const expiresAt = (typeof exp === 'number' ? exp * 1000 : at + 3_600_000) as EpochMs
  if (expiresAt <= at) return { kind: 'rejected', reason: 'expired' }
  const fault = otherToken(claims)
  if (fault !== undefined) return { kind: 'rejected', reason: fault }
  return { kind: 'machine', issuer: String(claims['iss']), claims: { aud: by.audience, ...claims }, expiresAt }
}

/** The token that the broker would try for; whether the provider gives it, only the provider knows. */
function brokered(s: Subject, service: ServiceSettings | undefined): TokenAnswer {
  if (service?.audience === undefined) return { kind: 'none', reason: 'no audience is configured for the service' }
  const none = s.machine ? notForMachine(s, service, service.audience) : undefined
  if (none !== undefined) return { kind: 'none', reason: none }
  const token: ServiceToken = {
    id: 'explain' as TokenId,
    service: service.name,
    value: secret(`<token for ${service.name}>`),
    type: 'Bearer',
    audiences: [service.audience],
    scopes: readScopes(s.q.claims ?? {}) ?? service.scopes,
    receivedAt: s.at,
    expiresAt: undefined,
  }
  return { kind: 'token', token }
}

/** Why a machine would have no token for a service; undefined: it would have, or the provider decides. */
function notForMachine({ q, now, issuers }: Subject, service: ServiceSettings, audience: string): string | undefined {
  const { strategy } = service
  if (strategy === 'client_credentials') return undefined
  const claims = q.claims ?? {}
  if (strategy === 'token_exchange' || strategy === 'jwt_bearer') {
    const ours = [...now.settings.providers.values()].some((p) => same(p.issuer.href, claims['iss']))
    return ours || service.client !== undefined || service.tokenEndpoint !== undefined
      ? undefined
      : 'the caller’s token is of another issuer, and the service names nobody to exchange it'
  }
  const aud = claims['aud'] === undefined ? issuers.map((b) => b.audience) : readAudiences(claims['aud'])
  const fits =
    claims['aud'] === undefined ? aud.includes(audience) : audienceFits(aud, audience, service.allowOtherAudiences)
  return fits ? undefined : 'the caller’s token is not for this service'
}
