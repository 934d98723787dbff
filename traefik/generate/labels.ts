import { isIP } from 'node:net'
import { Document } from 'yaml'
import type { Settings } from '../../config/types.ts'
import { staticArguments } from './hints.ts'
import { BFF, type GenerateOptions, type Plan, type PlannedRouter } from './plan.ts'

type Labels = Record<string, string>

/**
 * Labels for docker compose, as a file to merge with (`docker compose -f docker-compose.yml -f …`). An upstream whose
 * `base_url` names a compose service has its own routers on it: Traefik would else make up a router for a container that
 * has a service and none, and that one would have no forwardAuth.
 */
export function toLabels(plan: Plan, settings: Settings, o: GenerateOptions): string {
  const own = containerOf(o.host) ?? BFF
  const containers = new Map<string, Labels>([[own, {}]])
  const labelsOf = (container: string): Labels => {
    const labels = containers.get(container) ?? {}
    containers.set(container, labels)
    labels['traefik.enable'] = 'true'
    return labels
  }
  const bff = labelsOf(own)
  for (const [name, auth] of plan.forwardAuths)
    Object.assign(bff, flat(`traefik.http.middlewares.${name}.forwardauth`, auth))
  for (const [name, prefix] of plan.prefixes) bff[`traefik.http.middlewares.${name}.addprefix.prefix`] = prefix
  bff[`traefik.http.services.${BFF}.loadbalancer.server.port`] = String(settings.server.listen.port)
  const homes = new Map<string, string>()
  for (const [name, url] of plan.services) {
    const container = containerOf(url.hostname)
    homes.set(name, container ?? own)
    const server = `traefik.http.services.${name}.loadbalancer.server`
    const labels = labelsOf(container ?? own)
    if (container === undefined) labels[`${server}.url`] = url.origin
    else {
      labels[`${server}.port`] = portOf(url)
      if (url.protocol === 'https:') labels[`${server}.scheme`] = 'https'
    }
  }
  for (const r of plan.routers) Object.assign(labelsOf(homes.get(r.service) ?? own), routerLabels(r, o))
  const doc = new Document({
    services: Object.fromEntries([...containers].map(([name, labels]) => [name, { labels: escaped(labels) }])),
  })
  doc.commentBefore = [
    ' Labels for docker compose, made by `traefik-bff generate labels`. Merge them with your own file:',
    '   docker compose -f docker-compose.yml -f this.yml up',
    ' Make them anew when settings.yaml or routes.yaml change.',
    '',
    ' Traefik itself (docs/traefik.md says why):',
    '   --providers.docker.exposedByDefault=false',
    ...staticArguments(settings, o.entryPoint).map((line) => `   ${line}`),
  ].join('\n')
  return doc.toString({ lineWidth: 0 })
}

function routerLabels(r: PlannedRouter, o: GenerateOptions): Labels {
  const at = `traefik.http.routers.${r.name}`
  return {
    [`${at}.entrypoints`]: o.entryPoint,
    [`${at}.rule`]: r.rule,
    [`${at}.priority`]: String(r.priority),
    ...(r.middlewares.length === 0 ? {} : { [`${at}.middlewares`]: r.middlewares.join(',') }),
    [`${at}.service`]: r.service,
    ...(o.tls ? { [`${at}.tls`]: 'true' } : {}),
  }
}

/** `{ tls: { ca: x } }` at `a` is `a.tls.ca: x`; a list is joined by commas. */
function flat(at: string, value: unknown): Labels {
  if (typeof value !== 'object' || value === null) return { [at]: String(value) }
  if (Array.isArray(value)) return { [at]: value.join(',') }
  return Object.assign({}, ...Object.entries(value).map(([k, v]) => flat(`${at}.${k}`, v))) as Labels
}

/** A compose service is found by its bare name; other hosts are dialled as they stand. */
export function containerOf(host: string | undefined): string | undefined {
  if (host === undefined || host === 'localhost' || host.includes('.') || host.startsWith('[')) return undefined
  return isIP(host) === 0 ? host : undefined
}

export function portOf(url: URL): string {
  return url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port
}

/** Compose reads `$` as the start of a variable. */
function escaped(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).map(([k, v]) => [k, v.replaceAll('$', '$$$$')]))
}
