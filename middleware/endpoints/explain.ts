import { isIP } from 'node:net'
import type { ServiceSettings } from '../../config/types.ts'
import { secret } from '../../config/secret.ts'
import { audienceFits, readAudiences, readScopes } from '../broker/audience.ts'
import { authorizeScopes, judgeRules, strengthWanted, type Judged } from '../decide/authorize.ts'
import { decide } from '../decide/decide.ts'
import { stepUp } from '../decide/step-up.ts'
import { statusOf } from '../decision.ts'
import { createIdentity } from '../identity/identity.ts'
import { METHOD } from '../mouths/common-facts.ts'
import { passesAuthorization } from '../mouths/answer.ts'
import { parseTarget, type Target } from '../mouths/target.ts'
import { writeSessionCookie } from '../session/cookie.ts'
import { makeCsrfToken } from '../session/csrf.ts'
import type {
  BearerVerdict,
  Claims,
  Context,
  DecideDeps,
  Decision,
  EpochMs,
  Generation,
  Handle,
  LiveSession,
  RequestFacts,
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
type Asked = Readonly<Record<'method' | 'url' | 'as' | 'claims' | 'ip', string | undefined>>

/** What a request would meet, and why. Holds no secret and no token: those stand as `<token for SERVICE>`. */
export interface Explanation {
  readonly method: string
  readonly url: string
  readonly who: string
  readonly route?: Readonly<Record<string, unknown>>
  readonly rules: readonly Judged[]
  readonly token?: Readonly<Record<string, unknown>>
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly csrf?: { readonly mode: string; readonly withoutProof: string }
  readonly navigation: Outcome
  readonly xhr: Outcome
}
export interface Outcome {
  readonly status: number
  readonly code?: string
  readonly step: string
  readonly why?: string
}

const ID = 'explain-explain-explain-explain' as SessionId
const KEYS = { session: ['explain'], csrf: [Buffer.alloc(32, 1)] }

/** The question, or why it is none. `as` is short for the claim `sub`. */
export function readQuestion(a: Asked): Question | string {
  if (!METHOD.test(a.method ?? '')) return 'method: a word like GET'
  if (a.url === undefined || a.url === '') return 'url: /path, or https://host/path'
  if (a.ip !== undefined && isIP(a.ip) === 0) return 'ip: an address'
  const claims = a.claims === undefined ? {} : parseClaims(a.claims)
  if (claims === undefined) return 'claims: a JSON object'
  const nobody = a.as === undefined && a.claims === undefined
  const who = { sub: 'somebody', ...claims, ...(a.as === undefined ? {} : { sub: a.as }) }
  return { method: a.method ?? '', url: a.url, claims: nobody ? undefined : who, ip: a.ip }
}

function parseClaims(text: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : undefined
  } catch {
    return undefined
  }
}

/** The decision itself, run on this generation with a session that is made up: nothing is stored, asked or sent. */
export function explain(q: Question, now: Generation, at: EpochMs): Explanation {
  const issuer = [...now.settings.bearerIssuers.values()].find((b) => same(b.issuer.href, q.claims?.['iss']))
  const who =
    q.claims === undefined ? 'nobody' : `${issuer === undefined ? 'user' : 'machine'} ${String(q.claims['sub'])}`
  const about = { method: q.method, url: q.url, who }
  const place = placeOf(q.url, now)
  if (typeof place === 'string') {
    const outcome = { status: 400, code: 'BAD_REQUEST', step: 'read', why: place }
    return { ...about, rules: [], headers: [], navigation: outcome, xhr: outcome }
  }
  const run = (wants: RequestFacts['wants'], proof: boolean): Ran =>
    ask({ q, now, place, machine: issuer !== undefined, at }, wants, proof)
  const safe = q.method === 'GET' || q.method === 'HEAD'
  const [navigation, xhr, bare] = [run(safe ? 'navigation' : 'fetch', true), run('fetch', true), run('fetch', false)]
  const { c, deps } = xhr
  const token = tokenOf(c, now)
  return {
    ...about,
    ...(c.route === undefined ? {} : { route: routeOf(c, now) }),
    rules: rulesOf(c, deps),
    ...(token === undefined ? {} : { token }),
    headers: headersOf(xhr),
    ...(c.route === undefined ? {} : { csrf: { mode: c.route.csrf, withoutProof: codeOf(bare.decision) ?? 'passes' } }),
    navigation: outcomeOf(navigation),
    xhr: outcomeOf(xhr),
  }
}

const same = (a: string, b: unknown): boolean => typeof b === 'string' && a.replace(/\/$/, '') === b.replace(/\/$/, '')

interface Place extends Target {
  readonly origin: string
  readonly hostname: string
}
interface Subject {
  readonly q: Question
  readonly now: Generation
  readonly place: Place
  readonly machine: boolean
  readonly at: EpochMs
}
interface Ran {
  readonly decision: Decision
  readonly c: Context
  readonly deps: DecideDeps
  readonly step: string
}

function placeOf(url: string, now: Generation): Place | string {
  const [, host, rest] = /^https?:\/\/([^/?#]+)([^#]*)$/i.exec(url) ?? [undefined, undefined, url]
  const first = now.settings.server.publicUrls.find((u) => !u.wildcard)
  const origin = now.originOf(host ?? `${first?.hostname ?? ''}${first?.port ? `:${first.port}` : ''}`)
  if (origin === undefined) return 'host is not in public_url'
  const target = parseTarget(rest === '' ? '/' : rest)
  return target === undefined ? 'path is not canonical' : { ...origin, ...target }
}

function ask(s: Subject, wants: RequestFacts['wants'], proof: boolean): Ran {
  const facts = factsOf(s, wants, proof)
  let c: Context = { facts }
  let step = ''
  const deps = { ...doubles(s), watch: (name: string, context: Context) => void ([step, c] = [name, context]) }
  const decision = decide(facts, deps)
  if (decision instanceof Promise) throw new Error('explain waits for nothing')
  return { decision, c, deps, step }
}

function factsOf({ q, place, machine }: Subject, wants: RequestFacts['wants'], proof: boolean): RequestFacts {
  const user = q.claims !== undefined && !machine
  return {
    mouth: 'traefik',
    method: q.method,
    ...place,
    wants,
    acceptLanguage: '',
    clientIp: q.ip ?? '',
    clientIpUnknown: q.ip === undefined,
    correlationId: '<correlation id>',
    cookies: user ? [writeSessionCookie(ID, KEYS.session[0] ?? '')] : [],
    authorization: machine ? 'Bearer explain' : undefined,
    csrf: {
      token: proof ? makeCsrfToken(ID, KEYS.csrf[0] ?? Buffer.alloc(0), (n) => new Uint8Array(n)) : undefined,
      origin: proof ? place.origin : undefined,
      site: proof ? 'same-origin' : undefined,
      mode: wants === 'navigation' ? 'navigate' : 'cors',
      dest: undefined,
    },
    preflight: false,
    preflightMethod: undefined,
    cookiesForUpstream: '',
    pinned: undefined,
    again: undefined,
  }
}

/** Stands in for store, broker and issuers: answers at once, from the question alone, and writes nothing. */
function doubles({ q, now, place, at }: Subject): DecideDeps {
  const claims = q.claims ?? {}
  const never = (): never => {
    throw new Error('explain touches nothing')
  }
  const nothing = (): void => undefined
  const machine: BearerVerdict = {
    kind: 'machine',
    issuer: String(claims['iss']),
    claims,
    expiresAt: (at + 3_600_000) as EpochMs,
  }
  return {
    now,
    clock: { wallMs: () => at, monoMs: () => 0, sleep: never },
    emit: nothing,
    end: nothing,
    touch: nothing,
    random: (n) => new Uint8Array(n),
    cookies: KEYS,
    identityHeaders: createIdentity(now.settings, nothing),
    sessions: { load: () => sessionOf(claims, place.origin, now, at) } as unknown as DecideDeps['sessions'],
    broker: {
      token: (_: unknown, service: string) => brokered(claims, now.settings.services.get(service), q, at),
    } as unknown as DecideDeps['broker'],
    bearers: { verify: () => machine },
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

/** The token that the broker would try for; whether the provider gives it, only the provider knows. */
function brokered(claims: Claims, service: ServiceSettings | undefined, q: Question, at: EpochMs): TokenAnswer {
  if (service?.audience === undefined) return { kind: 'none', reason: 'no audience is configured for the service' }
  const own = service.strategy === undefined || service.strategy === 'login_token' || service.strategy === 'refresh'
  const machine = q.claims?.['iss'] !== undefined && q.claims['aud'] !== undefined
  if (machine && own && !audienceFits(readAudiences(claims['aud']), service.audience, service.allowOtherAudiences))
    return { kind: 'none', reason: 'the caller’s token is not for this service' }
  const token: ServiceToken = {
    id: 'explain' as TokenId,
    service: service.name,
    value: secret(`<token for ${service.name}>`),
    type: 'Bearer',
    audiences: [service.audience],
    scopes: readScopes(claims) ?? service.scopes,
    receivedAt: at,
    expiresAt: undefined,
  }
  return { kind: 'token', token }
}

function routeOf(c: Context, now: Generation): Record<string, unknown> {
  const { id, path, host, auth, csrf, service } = c.route ?? {}
  const over = now.match(c.facts).over.map((r) => r.id)
  return {
    id,
    path,
    ...(host === undefined ? {} : { host }),
    auth,
    csrf,
    ...(service === undefined ? {} : { service }),
    over,
  }
}

function rulesOf(c: Context, deps: DecideDeps): readonly Judged[] {
  if (c.principal === undefined) return []
  const { acr, maxAgeS } = strengthWanted(c, deps)
  const wanted = [
    ...(acr === undefined ? [] : [`acr: one of ${acr.join(', ')}`]),
    ...(maxAgeS === undefined ? [] : [`max_age: ${maxAgeS}s`]),
  ]
  const strength: Judged[] =
    wanted.length === 0
      ? []
      : [{ of: 'route', rule: wanted.join(' and '), holds: stepUp(c, deps, { acr, maxAgeS }) === undefined }]
  const scopes = [...(c.route?.require.scopes ?? []), ...(serviceOf(c, deps.now)?.require.scopes ?? [])]
  const last: Judged[] =
    scopes.length === 0
      ? []
      : [{ of: 'route', rule: `scopes: one of ${scopes.join(' ')}`, holds: authorizeScopes(c, deps) === undefined }]
  return [...judgeRules(c, deps), ...strength, ...last]
}

function serviceOf(c: Context, now: Generation): ServiceSettings | undefined {
  return c.route?.service === undefined ? undefined : now.settings.services.get(c.route.service)
}

function tokenOf(c: Context, now: Generation): Record<string, unknown> | undefined {
  const service = serviceOf(c, now)
  if (service === undefined || c.principal === undefined || c.route?.auth === 'public') return undefined
  const fallback =
    c.principal.kind === 'machine' ? 'the caller’s own' : 'refresh, or login_token without a refresh token'
  return {
    service: service.name,
    audience: service.audience ?? null,
    strategy: service.strategy ?? fallback,
    ...(service.scopes.length === 0 ? {} : { scopes: service.scopes }),
    ...(service.client === undefined ? {} : { client: service.client }),
  }
}

function headersOf(ran: Ran): Explanation['headers'] {
  const { decision } = ran
  if (decision.kind !== 'allow') return []
  const passes = passesAuthorization(decision) ? [['Authorization', '<the client’s own>'] as const] : []
  return [...decision.set, ...passes]
}

function codeOf(d: Decision): string | undefined {
  return d.kind === 'allow' ? undefined : d.code
}

function outcomeOf({ decision: d, step }: Ran): Outcome {
  if (d.kind === 'allow') return { status: 200, step }
  const status = d.kind === 'login' ? 302 : statusOf(d.code)
  const why = d.kind === 'refuse' ? d.why : d.kind === 'login' ? asks(d) : undefined
  return { status, code: d.code, step, ...(why === undefined ? {} : { why }) }
}

function asks(d: Extract<Decision, { kind: 'login' }>): string | undefined {
  const parts = [
    ...(d.acrValues === undefined ? [] : [`acr_values=${d.acrValues}`]),
    ...(d.maxAgeS === undefined ? [] : [`max_age=${d.maxAgeS}`]),
  ]
  return parts.length === 0 ? undefined : `to sign in with ${parts.join(' ')}`
}
