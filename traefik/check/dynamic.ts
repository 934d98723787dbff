import { suggest } from '../../config/suggest.ts'
import type { ListenAddress, Settings } from '../../config/types.ts'
import { CSRF_HEADER } from '../../middleware/session/csrf.ts'
import { authResponseHeaders, identityHeaderNames } from '../../middleware/identity/header-names.ts'
import { LONGEST_BODY } from '../generate/middleware.ts'
import { entries, flag, get, listed, texts, type TraefikFile } from './facts.ts'

/** What the decision reads of a request; a list without one of them hides it from us. */
const NEEDED = [
  'Cookie',
  'Authorization',
  'Accept',
  'Origin',
  'Sec-Fetch-Site',
  'Sec-Fetch-Mode',
  'Sec-Fetch-Dest',
  'X-Requested-With',
  CSRF_HEADER,
]
/** Middlewares that change the path which we are told. */
const MOVES_PATH = ['stripPrefix', 'stripPrefixRegex', 'replacePath', 'replacePathRegex', 'addPrefix']

interface Ctx {
  readonly file: TraefikFile
  readonly settings: Settings
  /** Aliases are refused or removed before they come to a middleware. */
  readonly aliasesStopped: boolean
}

/**
 * What a file of Traefik's dynamic configuration does around us (design: what a real Traefik does around ForwardAuth).
 *
 * @returns whether a check of ours is in it.
 */
export function checkDynamic(c: Ctx): boolean {
  const middlewares = new Map(entries(get(c.file.root, 'http', 'middlewares')))
  const checks = new Set<string>()
  for (const [name, m] of middlewares) {
    const forwardAuth = get(m, 'forwardAuth')
    const address = get(forwardAuth, 'address')
    if (typeof address !== 'string' || !isOurs(address, c.settings)) continue
    checks.add(name)
    checkForwardAuth(c, ['http', 'middlewares', name, 'forwardAuth'], forwardAuth, address)
  }
  for (const [name, router] of entries(get(c.file.root, 'http', 'routers')))
    checkRouter(c, name, router, middlewares, checks)
  return checks.size > 0
}

/** By its path, or by where it leads. */
function isOurs(address: string, { server }: Settings): boolean {
  const url = URL.parse(address)
  if (url === null) return address.includes(`${server.basePath}/verify`)
  return verifyPaths(server).includes(url.pathname) || isListener(url, server)
}

const verifyPaths = (server: Settings['server']): readonly string[] => [
  `${server.basePath}/verify`,
  `${server.basePath}/forward`,
]

function isListener(url: URL, server: Settings['server']): boolean {
  const at = (l: ListenAddress | undefined): boolean =>
    l !== undefined && l.port !== 0 && url.port === String(l.port) && (isAny(l.host) || url.hostname === l.host)
  return at(server.listen) || at(server.verifyListen)
}

const isAny = (host: string): boolean => host === '0.0.0.0' || host === '::'

function checkForwardAuth(c: Ctx, at: readonly string[], f: unknown, address: string): void {
  const say = (severity: 'fault' | 'warning', key: string, code: string, message: string, mend?: string): void =>
    c.file.say(severity, [...at, key], code, message, mend)
  checkAddress(c, say, address, f)
  if (flag(get(f, 'trustForwardHeader')) !== false)
    say(
      'fault',
      'trustForwardHeader',
      'TRAEFIK_TRUST',
      'unset or true, a client behind a trusted proxy says which path it asks for, and every check is refused here',
      'trustForwardHeader: false.',
    )
  const have = new Set(texts(get(f, 'authResponseHeaders')).map((n) => n.toLowerCase()))
  const missing = authResponseHeaders(c.settings).filter((n) => !have.has(n.toLowerCase()))
  if (missing.length > 0)
    say(
      'fault',
      'authResponseHeaders',
      'TRAEFIK_HEADERS',
      `${listed(missing)} would pass from the client to the upstream untouched`,
      '`traefik-bff generate file` writes the whole list.',
    )
  checkAliases(c, say, get(f, 'authResponseHeadersRegex'))
  const asked = texts(get(f, 'authRequestHeaders')).map((n) => n.toLowerCase())
  const hidden = asked.length === 0 ? [] : NEEDED.filter((n) => !asked.includes(n.toLowerCase()))
  if (hidden.length > 0)
    say('fault', 'authRequestHeaders', 'TRAEFIK_HIDES', `${listed(hidden)} never reach the check`, 'Leave it out.')
  if (get(f, 'authSigninURL') !== undefined)
    say(
      'fault',
      'authSigninURL',
      'TRAEFIK_SIGNIN',
      'each of our 401 becomes a bare redirect: programs get a page, cookies are lost',
      'Leave it out: navigations are redirected to the sign-in by the service.',
    )
  for (const key of ['preserveRequestMethod', 'forwardBody'])
    if (flag(get(f, key)) === true)
      say(
        'warning',
        key,
        'TRAEFIK_NO_RETRY',
        'a check on a connection that was just closed is not tried again, and the user sees a 500',
        'Leave it out.',
      )
  const limit = get(f, 'maxResponseBodySize')
  if (limit === undefined || Number(limit) < 0)
    say('warning', 'maxResponseBodySize', 'TRAEFIK_NO_LIMIT', 'an answer of any size is taken', `Say ${LONGEST_BODY}.`)
  else if (Number(limit) < LONGEST_BODY)
    say('fault', 'maxResponseBodySize', 'TRAEFIK_SMALL', 'our pages are longer: they would be an empty 401')
}

type Say = (severity: 'fault' | 'warning', key: string, code: string, message: string, mend?: string) => void

function checkAddress({ settings }: Ctx, say: Say, address: string, f: unknown): void {
  const url = URL.parse(address)
  const fault = (code: string, message: string, mend?: string): void => say('fault', 'address', code, message, mend)
  if (url === null) {
    fault('TRAEFIK_ADDRESS', 'is no URL')
    return
  }
  const { server, services } = settings
  if (!verifyPaths(server).includes(url.pathname))
    fault('TRAEFIK_ADDRESS', `leads to ${url.pathname}, not to ${server.basePath}/verify`)
  if (server.publicUrls.some((u) => !u.wildcard && u.hostname === url.hostname && u.port === url.port))
    fault(
      'TRAEFIK_PUBLIC_ADDRESS',
      'is a public one: checks would go through a router and are refused',
      'Dial the service itself, its `server.listen` or `verify_listen`.',
    )
  const params = [...url.searchParams]
  const [name, service] = params[0] ?? []
  if (params.length > 1 || (params.length === 1 && name !== 'service'))
    fault('TRAEFIK_PIN', 'its query says something else than service=<name>, once: every check is refused')
  else if (service !== undefined && !services.has(service)) {
    const near = suggest(service, [...services.keys()])
    fault(
      'TRAEFIK_PIN',
      'service= names none of ours: every check is refused',
      near === undefined ? undefined : `Did you mean ${near}?`,
    )
  }
  const overTls = server.verifyListen !== undefined && url.port === String(server.verifyListen.port)
  if (overTls && url.protocol !== 'https:')
    fault('TRAEFIK_ADDRESS', 'verify_listen speaks TLS', 'https:// in front of it.')
  if (url.protocol === 'https:' && server.verifyTls?.clientCa !== undefined && get(f, 'tls', 'cert') === undefined)
    say('fault', 'tls', 'TRAEFIK_NO_CERT', 'verify_tls.client_ca wants a client certificate', 'tls: { ca, cert, key }.')
}

function checkAliases(c: Ctx, say: Say, regex: unknown): void {
  const pattern = typeof regex === 'string' ? regex.replace(/^\(\?i\)/, '') : ''
  let matches = (_name: string): boolean => false
  try {
    const compiled = new RegExp(pattern === '' ? '(?!)' : pattern, 'i')
    matches = (name) => compiled.test(name)
  } catch {
    say('warning', 'authResponseHeadersRegex', 'TRAEFIK_ALIASES', 'cannot be judged here')
    return
  }
  const passing = identityHeaderNames(c.settings).filter((n) => !matches(n.replaceAll('-', '_')))
  if (passing.length > 0)
    say(
      c.aliasesStopped ? 'warning' : 'fault',
      'authResponseHeadersRegex',
      'TRAEFIK_ALIASES',
      `aliases of ${listed(passing)} (${passing[0]?.replaceAll('-', '_') ?? ''}) reach the upstream beside ours`,
      '`traefik-bff generate file` writes it; or aliasHeadersStrategy: reject at the entry point.',
    )
}

/** Chains laid out: what a request meets, in order. */
function inOrder(names: readonly string[], all: ReadonlyMap<string, unknown>, depth = 0): readonly string[] {
  return names.flatMap((n) => {
    const plain = n.replace(/@file$/, '')
    const chain = texts(get(all.get(plain), 'chain', 'middlewares'))
    return chain.length === 0 || depth > 8 ? [plain] : inOrder(chain, all, depth + 1)
  })
}

function checkRouter(
  c: Ctx,
  name: string,
  router: unknown,
  all: ReadonlyMap<string, unknown>,
  checks: ReadonlySet<string>,
): void {
  const at = ['http', 'routers', name]
  const say = (severity: 'fault' | 'warning', code: string, message: string, mend?: string): void =>
    c.file.say(severity, [...at, 'middlewares'], code, message, mend)
  const order = inOrder(texts(get(router, 'middlewares')), all)
  const check = order.findIndex((n) => checks.has(n))
  if (check === -1) {
    checkUnguarded(c, at, router)
    return
  }
  order.forEach((n, i) => {
    const m = all.get(n)
    if (i < check && MOVES_PATH.some((kind) => get(m, kind) !== undefined))
      say(
        'fault',
        'TRAEFIK_ORDER',
        `${n} changes the path before the check, which judges another one`,
        'The check first.',
      )
    if (get(m, 'retry') !== undefined && get(m, 'retry', 'status') !== undefined)
      say(
        'fault',
        'TRAEFIK_RETRY_STATUS',
        `${n}: retry with status hands an upstream’s last 5xx on as 200`,
        'Remove status.',
      )
    else if (i < check && get(m, 'retry') !== undefined)
      say('warning', 'TRAEFIK_ORDER', `${n} makes a check for every try`, 'retry after the check.')
    if (i < check && catches401(get(m, 'errors')))
      say('warning', 'TRAEFIK_ORDER', `${n} catches our 401 and 403, a program’s too, and loses their headers`)
  })
}

function catches401(errors: unknown): boolean {
  return texts(get(errors, 'status')).some((range) => {
    const [from = 0, to = from] = range.split('-').map(Number)
    return from <= 403 && to >= 401
  })
}

/** A router to us without a check is for the browser's endpoints and proxied routes; verify must not be among them. */
function checkUnguarded(c: Ctx, at: readonly string[], router: unknown): void {
  const service = get(get(c.file.root, 'http', 'services'), String(get(router, 'service')).replace(/@file$/, ''))
  const servers = get(service, 'loadBalancer', 'servers')
  const urls = Array.isArray(servers) ? servers.map((s) => get(s, 'url')) : []
  const toUs = urls.some((u) => typeof u === 'string' && URL.canParse(u) && isListener(new URL(u), c.settings.server))
  const rule = get(router, 'rule')
  if (!toUs || typeof rule !== 'string' || /verify/.test(rule)) return
  const { basePath } = c.settings.server
  const paths = [...rule.matchAll(/Path(?:Prefix)?\(`([^`]*)`\)/g)].map((m) => m[1] ?? '')
  const reaches = paths.length === 0 || paths.some((p) => `${basePath}/verify`.startsWith(p))
  if (reaches)
    c.file.say(
      'warning',
      [...at, 'rule'],
      'TRAEFIK_PUBLIC_VERIFY',
      `a browser reaches ${basePath}/verify by it; the service refuses that, and nothing else stands in the way`,
      `Add && !PathRegexp(\`(?i)^${basePath}/+(verify|forward)\`).`,
    )
}
