import type { Place } from '../finding.ts'
import type { DraftRequire } from '../schema/schema.ts'
import type { Check, CheckContext } from './context.ts'
import { own } from './services.ts'

/** Rules of a route and of its service hold together: whether they can, and whether they can be told. */
export const checkRequire: Check = (c) => {
  c.routes.routes.forEach((route, i) => {
    const service = route.target_service === undefined ? undefined : serviceRequire(c, route.target_service)
    const [own, other] = [route.require?.acr ?? [], service?.acr ?? []]
    if (own.length > 0 && other.length > 0 && !own.some((a) => other.includes(a)))
      c.report.fault(['routes', 'routes', i, 'require', 'acr'], {
        code: 'ACR_DISJOINT',
        message: `\`${route.id ?? 'this route'}\` and its service want sign-ins that no one sign-in can be`,
        mend: 'Name at least one acr in both, or leave one of the two out.',
      })
  })
  checkEmpty(c)
  checkNetworks(c)
}

/** Of none of these, nobody is one; left out, everybody is. Which of the two an empty list means is not ours to guess. */
function checkEmpty(c: CheckContext): void {
  const say = (at: Place, what: string): void =>
    c.report.fault(at, {
      code: 'REQUIRE_EMPTY',
      message: `\`${what}\` lists nothing: it could mean nobody, or anybody`,
      mend: 'Leave it out to require nothing; auth: deny lets nobody in.',
    })
  for (const [at, rule] of allRules(c)) {
    for (const key of ['groups', 'scopes', 'acr', 'networks'] as const)
      if (rule?.[key]?.length === 0) say([...at, key], key)
    for (const [path, wanted] of Object.entries(rule?.claims ?? {}))
      if (Array.isArray(wanted) && wanted.length === 0) say([...at, 'claims', path], path)
  }
}

function allRules(c: CheckContext): readonly (readonly [Place, DraftRequire | undefined])[] {
  return [
    ...c.routes.routes.map((r, i) => [['routes', 'routes', i, 'require'], r.require] as const),
    ...Object.entries(c.routes.services).map(([n, s]) => [['routes', 'services', n, 'require'], s.require] as const),
    ...Object.entries(c.settings.service_tokens).map(
      ([n, s]) => [['settings', 'service_tokens', n, 'require'], s.require] as const,
    ),
  ]
}

function serviceRequire(c: CheckContext, name: string): DraftRequire | undefined {
  return own(c.routes.services, name)?.require ?? own(c.settings.service_tokens, name)?.require
}

/** Without a believed gateway, every client behind one has that gateway's address, which is private more often than not. */
function checkNetworks(c: CheckContext): void {
  const { trusted_proxies: trusted, verify_tls: tls } = c.settings.server
  if (trusted.length > 0 || tls?.client_ca !== undefined) return
  for (const [at, rule] of allRules(c))
    if ((rule?.networks ?? []).length > 0)
      c.report.warn([...at, 'networks'], {
        code: 'NETWORKS_BLIND',
        message:
          '`networks` has nobody who says who the client is: a private peer may be a gateway, and is refused; any other is judged by its own address',
        mend: 'Name the gateway in server.trusted_proxies, and in server.client_ip the header in which it says who its client is.',
      })
}
