import { loginUrl, providerParam } from '../login/addresses.ts'
import { LONGEST_RETURN_TO } from '../login/return-to.ts'
import type {
  Allow,
  Answer,
  Asker,
  Decision,
  Emit,
  ErrorAnswer,
  ErrorInfo,
  Generation,
  Login,
  Principal,
  Refuse,
  RequestFacts,
} from '../types.ts'

export interface AnswerDeps {
  readonly now: Generation
  readonly errorAnswer: ErrorAnswer
  readonly emit: Emit
}

/** The client's own Authorization reaches the upstream on public routes, and a machine's where no service token takes its place. */
export function passesAuthorization(d: Allow): boolean {
  // A preflight of a session route is anonymous too, and no browser sends it with credentials.
  return d.route.auth === 'public' || (d.principal.kind === 'machine' && d.route.service === undefined)
}

/** What the mouths share: everything but the yes is told the same way in header mode and in proxy mode. */
export function answerNo(d: Exclude<Decision, Allow>, f: RequestFacts, deps: AnswerDeps): Answer {
  switch (d.kind) {
    case 'login':
      return redirectToLogin(d, f, deps)
    case 'unavailable':
      return deps.errorAnswer({ code: d.code, retryAfterS: d.retryAfterS }, f)
    case 'refuse':
      tell(d, f, deps)
      return deps.errorAnswer(refusal(d, f, deps), f)
  }
}

/** A request that could not even be read: nobody knows who asks, so the answer is short. */
export function answerUnread(refuse: Refuse, asker: Asker, deps: AnswerDeps): Answer {
  deps.emit({
    name: 'request_refused',
    correlationId: asker.correlationId,
    fields: { code: refuse.code, why: refuse.why },
  })
  return deps.errorAnswer({ code: refuse.code }, asker)
}

function loginAddress(f: RequestFacts, now: Generation, params?: Readonly<Record<string, string>>): string {
  return new URL(loginUrl(f.origin, now, params), f.origin).href
}

/** An address that would not be followed is not said: Traefik takes pages of 16 KB, and a path may be as long. */
function wayBack(to: string): { readonly return_to?: string } {
  return to.length > LONGEST_RETURN_TO ? {} : { return_to: to }
}

/** Absolute, and built from the config: a relative one would be resolved against the middleware's address by Traefik. */
function redirectToLogin(d: Login, f: RequestFacts, deps: AnswerDeps): Answer {
  const location = loginAddress(f, deps.now, {
    ...wayBack(f.query === '' ? f.path : `${f.path}?${f.query}`),
    ...(d.acrValues === undefined ? {} : { acr_values: d.acrValues }),
    ...(d.maxAgeS === undefined ? {} : { max_age: String(d.maxAgeS) }),
    ...(d.prompt === undefined ? {} : { prompt: d.prompt }),
    ...(d.provider === undefined ? {} : { provider: d.provider }),
  })
  return {
    status: 302,
    headers: [
      ['Location', location],
      ['X-BFF-Error', d.code],
      ['Cache-Control', 'no-store'],
      ['Content-Length', '0'],
    ],
  }
}

function refusal(d: Refuse, f: RequestFacts, deps: AnswerDeps): ErrorInfo {
  const base = `${f.origin}${deps.now.settings.server.basePath}`
  const headers: (readonly [string, string])[] = (d.setCookies ?? []).map((c) => ['Set-Cookie', c] as const)
  if (d.wwwAuthenticate !== undefined) headers.push(['WWW-Authenticate', d.wwwAuthenticate])
  const who = whoIs(d.principal)
  const common = { code: d.code, headers, ...(who === undefined ? {} : { who, signOutUrl: `${base}/logout` }) }
  // A machine whose token is not good is not helped by a page to sign in on.
  if (d.wwwAuthenticate?.includes('invalid_token') === true) return common
  if (d.code === 'NO_SESSION' || d.code === 'SESSION_EXPIRED') return { ...common, loginUrl: loginAddress(f, deps.now) }
  // Signing in again may bring the token, but a redirect would loop where it does not.
  if (d.code === 'NO_TOKEN_AVAILABLE')
    return {
      ...common,
      tryAgainUrl: loginAddress(f, deps.now, { prompt: 'login', ...wayBack(f.path), ...own(d, deps) }),
    }
  if (d.detail === 'two_session_cookies')
    return {
      ...common,
      detail: 'Two different session cookies came with this request.',
      clearUrl: `${base}/login?prompt=login`,
    }
  return common
}

/** A session's own provider, so that nobody is asked to choose again. */
function own(d: Refuse, { now }: AnswerDeps): { readonly provider?: string } {
  return d.principal?.kind === 'user' ? providerParam(now, d.principal.session.record.provider) : {}
}

function whoIs(p: Principal | undefined): string | undefined {
  if (p?.kind !== 'user') return undefined
  const { email, name, preferred_username: user } = p.session.state.identity
  for (const text of [name, email, user]) if (typeof text === 'string' && text !== '') return text.slice(0, 200)
  return p.session.record.sub
}

function callerOf(p: Principal | undefined): { readonly issuer: string; readonly sub: unknown } | undefined {
  if (p?.kind === 'user') return p.session.record
  return p?.kind === 'machine' ? { issuer: p.issuer, sub: p.claims['sub'] } : undefined
}

function tell(d: Refuse, f: RequestFacts, deps: AnswerDeps): void {
  const correlationId = f.correlationId
  const caller = callerOf(d.principal)
  if (d.code === 'FORBIDDEN' && caller !== undefined) {
    const { issuer, sub } = caller
    deps.emit({
      name: 'access_denied',
      correlationId,
      fields: { route: d.route?.id, rule: d.why, issuer, sub, client_ip: f.clientIp },
    })
  } else if (d.code === 'BAD_REQUEST' || d.code === 'CSRF_FAILED' || d.code === 'FORBIDDEN' || d.code === 'NO_ROUTE') {
    deps.emit({
      name: 'request_refused',
      correlationId,
      fields: { code: d.code, why: d.why, method: f.method, host: f.hostname, path: f.path, route: d.route?.id },
    })
  }
}

/** One line a request, as `log.access` wants them: `errors` are answers of 400 and more. Paths come without their query. */
export function logAccess(
  f: Pick<RequestFacts, 'method' | 'hostname' | 'path' | 'clientIp' | 'correlationId'> & { readonly mouth: string },
  status: number,
  code: string | undefined,
  deps: Pick<AnswerDeps, 'now' | 'emit'>,
): void {
  const { access } = deps.now.settings.log
  if (access === 'off' || (access === 'errors' && status < 400)) return
  deps.emit({
    name: 'access',
    correlationId: f.correlationId,
    fields: {
      mouth: f.mouth,
      method: f.method,
      host: f.hostname,
      path: f.path,
      status,
      ...(code === undefined ? {} : { code }),
      client_ip: f.clientIp,
    },
  })
}
