import { isIP } from 'node:net'
import type { Route, ServiceSettings } from '../../config/types.ts'
import { judgeRules, type Judged } from '../decide/authorize.ts'
import { decide } from '../decide/decide.ts'
import { statusOf } from '../decision.ts'
import { METHOD } from '../mouths/common-facts.ts'
import { passesAuthorization } from '../mouths/answer.ts'
import { parseTarget } from '../mouths/target.ts'
import { writeSessionCookie } from '../session/cookie.ts'
import { makeCsrfToken } from '../session/csrf.ts'
import type { Claims, Context, DecideDeps, Decision, EpochMs, Generation, RequestFacts, TokenAnswer } from '../types.ts'
import { doubles, ID, KEYS, same, type Place, type Question, type Subject } from './explain-doubles.ts'

export type { Question } from './explain-doubles.ts'

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
  const issuers = [...now.settings.bearerIssuers.values()].filter((b) => same(b.issuer.href, q.claims?.['iss']))
  const machine = issuers.length > 0
  const who = q.claims === undefined ? 'nobody' : `${machine ? 'machine' : 'user'} ${String(q.claims['sub'])}`
  const about = { method: q.method, url: q.url, who }
  const place = placeOf(q.url, now)
  if (typeof place === 'string') {
    const outcome = { status: 400, code: 'BAD_REQUEST', step: 'read', why: place }
    return { ...about, rules: [], headers: [], navigation: outcome, xhr: outcome }
  }
  const run = (wants: RequestFacts['wants'], proof: boolean): Ran =>
    ask({ q, now, place, issuers, machine, at }, wants, proof)
  const safe = q.method === 'GET' || q.method === 'HEAD'
  const [navigation, xhr, bare] = [run(safe ? 'navigation' : 'fetch', true), run('fetch', true), run('fetch', false)]
  const { c, deps, decision } = xhr
  const token = tokenOf(c, now)
  // A route that refuses at once (`deny`) is not the one that the request goes on with.
  const route = c.route ?? (decision.kind === 'refuse' ? decision.route : undefined)
  return {
    ...about,
    ...(route === undefined ? {} : { route: routeOf(route, c, now) }),
    rules: rulesOf(c, deps),
    ...(token === undefined ? {} : { token }),
    headers: headersOf(xhr),
    ...(c.route === undefined ? {} : { csrf: { mode: c.route.csrf, withoutProof: codeOf(bare.decision) ?? 'passes' } }),
    navigation: outcomeOf(navigation),
    xhr: outcomeOf(xhr),
  }
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
    overrides: [],
    cookiesForUpstream: '',
    pinned: undefined,
    again: undefined,
  }
}

function routeOf(route: Route, c: Context, now: Generation): Record<string, unknown> {
  const { id, path, host, auth, csrf, service } = route
  const over = now.match(c.facts).over.map((r) => ({
    id: r.id,
    path: r.path,
    ...(r.host === undefined ? {} : { host: r.host }),
  }))
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
  // A rule before it may have failed: scopes are told all the same, of the token that would have come.
  const answer = c.token === undefined && c.route?.service !== undefined ? would(deps, c.route.service) : undefined
  return judgeRules(answer?.kind === 'token' ? { ...c, token: answer.token } : c, deps)
}

function would(deps: DecideDeps, service: string): TokenAnswer | undefined {
  const answer = deps.broker.token({ kind: 'client' }, service, { correlationId: '' })
  return answer instanceof Promise ? undefined : answer
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
  // A header's value is bytes, one character each; here it is for reading.
  const read = (v: string): string => Buffer.from(v, 'latin1').toString('utf8')
  return [...decision.set.map(([n, v]) => [n, read(v)] as const), ...passes]
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
