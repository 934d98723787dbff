import type { IncomingMessage } from 'node:http'
import type { Route } from '../config/types.ts'
import { decide } from '../middleware/decide/decide.ts'
import { compileOurHeaders } from '../middleware/identity/header-names.ts'
import { livesUntil, stateOf, timeoutReason } from '../middleware/login/current-session.ts'
import { memoize } from '../middleware/memo.ts'
import { answerNo, answerUnread, logAccess, passesAuthorization } from '../middleware/mouths/answer.ts'
import { rawFromHttp1 } from '../middleware/mouths/http1.ts'
import { readProxyFacts } from '../middleware/mouths/proxy.ts'
import type { VerifyDeps } from '../middleware/mouths/verify.ts'
import type {
  Allow,
  Answer,
  Asker,
  Decision,
  EpochMs,
  ErrorInfo,
  Maybe,
  RequestFacts,
  TokenId,
} from '../middleware/types.ts'
import { buildUpstreamPath } from './target.ts'
import type { Forward, ProxyVerdict, UpstreamTarget } from './types.ts'

/** The proxy's mouth on the one decision: the same facts, the same decision and the same headers as in header mode. */
export function createVerdict(deps: VerifyDeps): (req: IncomingMessage, again?: TokenId) => Maybe<ProxyVerdict> {
  // Asked of each header of each request.
  const isOurs = memoize(compileOurHeaders(deps.now.settings).isOurs, 1000, 64)
  return (req, again) => {
    const started = deps.clock.monoMs()
    const read = readProxyFacts(rawFromHttp1(req), deps.now, deps, again)
    if (!read.ok) {
      deps.observe('proxy', read.refuse, started)
      return answer(
        answerUnread(read.refuse, { wants: 'fetch', acceptLanguage: '', correlationId: read.correlationId }, deps),
      )
    }
    const finish = (d: Decision): ProxyVerdict => {
      deps.observe('proxy', d, started)
      const verdict =
        d.kind === 'allow' ? toForward(d, read.facts, deps, isOurs) : answer(answerNo(d, read.facts, deps))
      // A forwarded request's status is the upstream's: it is written when that is known.
      if (verdict.kind === 'answer')
        logAccess(read.facts, verdict.answer.status, d.kind === 'allow' ? 'NO_ROUTE' : d.code, deps)
      return verdict
    }
    const decided = decide(read.facts, deps)
    return decided instanceof Promise ? decided.then(finish) : finish(decided)
  }
}

function answer(a: Answer): ProxyVerdict {
  return { kind: 'answer', answer: a }
}

function toForward(d: Allow, f: RequestFacts, deps: VerifyDeps, isOurs: (name: string) => boolean): ProxyVerdict {
  const target = targetOf(d.route, f, deps)
  if (typeof target === 'string')
    return answer(
      answerNo(
        { kind: 'refuse', code: target, why: 'the route is not proxied, or {path} would climb out', route: d.route },
        f,
        deps,
      ),
    )
  const session = d.principal.kind === 'user' ? d.principal.session : undefined
  const forward: Forward = {
    kind: 'forward',
    target,
    forwarded: {
      for: f.clientIp,
      proto: f.origin.startsWith('https:') ? 'https' : 'http',
      host: f.origin.slice(f.origin.indexOf('://') + 3),
    },
    set: d.set,
    removeNames: isOurs,
    cookies: f.cookiesForUpstream,
    passAuthorization: passesAuthorization(d),
    timeoutMs: d.route.timeoutMs,
    token: d.token,
    openUntil: session === undefined ? endOfMachine(d) : livesUntil(session, deps.now.settings.session),
    ...(session === undefined ? {} : { recheck: () => recheck(session.id, f.hostname, deps) }),
    sessionId: session?.id,
    websocketMaxAgeMs: d.route.websocketMaxAgeMs,
    routeId: d.route.id,
    service: d.route.service,
    correlationId: f.correlationId,
  }
  return forward
}

/** A machine's stream ends with the token that opened it. */
function endOfMachine(d: Allow): EpochMs | undefined {
  return d.principal.kind === 'machine' ? d.principal.expiresAt : undefined
}

/** Until when a session lives now; undefined where it does not. Throws StoreUnavailable. */
async function recheck(
  id: Parameters<VerifyDeps['sessions']['load']>[0],
  hostname: string,
  deps: VerifyDeps,
): Promise<EpochMs | undefined> {
  const session = await deps.sessions.load(id)
  if (session === undefined) return undefined
  const state = stateOf(session, hostname, deps)
  // A suspended one (R19) may come back: its stream ends, it does not.
  if (state === 'expired') deps.end([id], timeoutReason(session, deps))
  return state === 'live' ? livesUntil(session, deps.now.settings.session) : undefined
}

function targetOf(route: Route, f: RequestFacts, deps: VerifyDeps): UpstreamTarget | 'NO_ROUTE' | 'BAD_REQUEST' {
  const base = route.service === undefined ? undefined : deps.now.settings.services.get(route.service)?.baseUrl
  if (route.upstreamPath === undefined || base === undefined) return 'NO_ROUTE'
  const stem = route.path.endsWith('/*') ? route.path.slice(0, -2) : route.path
  const rest = route.path.endsWith('/*') ? f.path.slice(stem.length + 1) : ''
  const path = buildUpstreamPath(route.upstreamPath, rest, base, { encoded: route.encoded, bare: f.path === stem })
  if (path === undefined) return 'BAD_REQUEST'
  return { base, path, query: f.query, publicPath: route.path, upstreamPath: route.upstreamPath }
}

/** Our own no for a request that the proxy could not bring to its upstream. */
export function createProxyErrors(
  deps: VerifyDeps,
): (code: ErrorInfo['code'], status: number, req: IncomingMessage) => Answer {
  return (code, status, req) => {
    const read = readProxyFacts(rawFromHttp1(req), deps.now, deps, undefined)
    const asker: Asker = read.ok
      ? read.facts
      : { wants: 'fetch', acceptLanguage: '', correlationId: read.correlationId }
    deps.emit({
      name: 'upstream_unavailable',
      correlationId: asker.correlationId,
      fields: { code, status, path: read.ok ? read.facts.path : undefined },
    })
    return deps.errorAnswer({ code, status }, asker)
  }
}
