import type { Place } from '../finding.ts'
import type { DraftRoute } from '../schema/schema.ts'
import { suggest } from '../suggest.ts'
import { hostFits } from '../values/url.ts'
import type { Check, CheckContext } from './context.ts'
import { publicUrls } from './public-urls.ts'
import { own } from './services.ts'

export const checkRoutes: Check = (c) => {
  const ids = new Map<string, number>()
  c.routes.routes.forEach((route, i) => {
    const at: Place = ['routes', 'routes', i]
    const other = route.id === undefined ? undefined : ids.get(route.id)
    if (route.id !== undefined) ids.set(route.id, i)
    if (other !== undefined)
      c.report.fault([...at, 'id'], {
        code: 'ROUTE_TWICE',
        message: 'another route has this id',
        mend: 'Give each route its own.',
      })
    checkHost(c, at, route)
    checkOwnPaths(c, at, route)
    checkAuth(c, at, route)
    checkUpstream(c, at, route)
    for (const [n, issuer] of route.bearer.entries()) {
      if (own(c.settings.bearer_issuers, issuer) !== undefined) continue
      const near = suggest(issuer, Object.keys(c.settings.bearer_issuers))
      c.report.fault([...at, 'bearer', n], {
        code: 'UNKNOWN_ISSUER',
        message: 'this is no name in `bearer_issuers`',
        mend: near === undefined ? 'Add it to bearer_issuers in settings.yaml.' : `Did you mean \`${near}\`?`,
      })
    }
    for (let n = 0; n < i; n += 1) checkTie(c, at, route, c.routes.routes[n])
  })
}

const nameOf = (route: DraftRoute): string => route.id ?? 'this route'

function checkHost(c: CheckContext, at: Place, route: DraftRoute): void {
  const { host } = route
  if (host === undefined) return
  // A star on either side: `a.apps.example.com` under a public `*.apps.example.com`, or `*.apps.example.com` over public hosts.
  if (!publicUrls(c.settings).some(({ url }) => hostFits(host, url.hostname) || hostFits(url.hostname, host)))
    c.report.fault([...at, 'host'], {
      code: 'UNKNOWN_HOST',
      message: `\`${nameOf(route)}\`: no public URL has this host`,
      mend: 'Add it to server.public_urls, or leave host out.',
    })
}

function checkOwnPaths(c: CheckContext, at: Place, { path }: DraftRoute): void {
  if (path === undefined) return
  const lower = path.toLowerCase()
  const base = c.settings.server.base_path.toLowerCase()
  if (lower === base || lower.startsWith(`${base}/`) || lower === '/api/auth/session')
    c.report.fault([...at, 'path'], {
      code: 'PATH_RESERVED',
      message: `this path belongs to this service’s own endpoints`,
      mend: 'Choose another path, or move ours with server.base_path.',
    })
}

function checkAuth(c: CheckContext, at: Place, route: DraftRoute): void {
  const upstream = own(c.routes.services, route.target_service ?? '')
  const tokens = own(c.settings.service_tokens, route.target_service ?? '')
  if (route.auth === 'session') return
  if (route.bearer.length > 0)
    c.report.fault([...at, 'bearer'], {
      code: 'BEARER_UNUSED',
      message: `\`bearer\` on a route with auth: ${route.auth} is never looked at`,
      mend: 'Use auth: session, or remove bearer.',
    })
  if (route.auth === 'deny') return
  const required = [route.require, upstream?.require, tokens?.require].some(
    (r) => r !== undefined && Object.values(r).some((v) => v !== undefined),
  )
  if (required)
    c.report.fault([...at, route.require === undefined ? 'target_service' : 'require'], {
      code: 'PUBLIC_WITH_REQUIRE',
      message: `\`${nameOf(route)}\` is public, so nobody is known of whom something could be required`,
      mend: 'Use auth: session, or remove require here and at the service.',
    })
  if (tokens?.strategy === 'client_credentials')
    c.report.fault([...at, 'target_service'], {
      code: 'PUBLIC_WITH_MACHINE_TOKEN',
      message: `\`${nameOf(route)}\` is public: anybody would call the service with this machine’s own token`,
      mend: 'Use auth: session.',
    })
}

function checkUpstream(c: CheckContext, at: Place, route: DraftRoute): void {
  const { target_service: service, upstream_path: path } = route
  if (path === undefined) return
  if (service === undefined) {
    c.report.fault([...at, 'upstream_path'], {
      code: 'UPSTREAM_MISSING',
      message: `\`${nameOf(route)}\` has an upstream_path and no target_service`,
      mend: 'Name the service to proxy to.',
    })
    return
  }
  if (own(c.routes.services, service)?.base_url === undefined) {
    const near = suggest(service, Object.keys(c.routes.services))
    c.report.fault([...at, 'target_service'], {
      code: 'BASE_URL_MISSING',
      message: `\`${nameOf(route)}\` is proxied and \`services.${service}.base_url\` is missing`,
      mend:
        near === undefined || near === service
          ? `Add services: { ${service}: { base_url: … } }, or remove upstream_path.`
          : `Did you mean \`${near}\`?`,
    })
  }
  const open = route.path?.endsWith('/*') === true
  if (route.path !== undefined && open !== path.endsWith('/{path}'))
    c.report.warn([...at, 'upstream_path'], {
      code: 'UPSTREAM_PATH',
      message: open
        ? 'all that `/*` matches goes to one upstream path'
        : '{path} stands for nothing: the route’s path is exact',
      mend: open ? 'End upstream_path in /{path}.' : 'End path in /*, or write upstream_path without {path}.',
    })
}

/** Same host, same path, a method in common: neither is more specific, so either could win. */
function checkTie(c: CheckContext, at: Place, route: DraftRoute, other: DraftRoute | undefined): void {
  if (other?.path === undefined || other.path !== route.path || other.host !== route.host) return
  const both =
    route.methods === undefined ||
    other.methods === undefined ||
    route.methods.length * other.methods.length === 0 ||
    route.methods.some((m) => other.methods?.includes(m))
  if (both)
    c.report.fault([...at, 'path'], {
      code: 'ROUTES_TIE',
      message: `\`${nameOf(route)}\` and \`${nameOf(other)}\` could both win: same host, same path, a method in common`,
      mend: 'Give each its own methods, host or path.',
    })
}
