import { isIP } from 'node:net'
import { Document } from 'yaml'
import type { Settings } from '../../config/types.ts'
import { staticArguments } from './hints.ts'
import { portOf } from './labels.ts'
import type { ForwardAuth } from './middleware.ts'
import { BFF, type GenerateOptions, type Plan, type PlannedRouter } from './plan.ts'

/** A Service of the cluster, in the namespace that its name says; undefined: where the objects are applied. */
interface ClusterService {
  readonly name: string
  readonly namespace: string | undefined
}

const CA_SECRET = 'bff-verify-ca'
const CLIENT_SECRET = 'bff-verify-client'
const API_VERSION = 'traefik.io/v1alpha1'

/**
 * Middleware and IngressRoute objects (traefik.io/v1alpha1). Each namespace has its own, so that nothing needs
 * `allowCrossNamespace`; a `base_url` outside the cluster gets a Service of type ExternalName.
 */
export function toKubernetes(plan: Plan, settings: Settings, o: GenerateOptions): string {
  const own = clusterService(o.host ?? BFF) ?? { name: BFF, namespace: undefined }
  const targets = new Map<string, object>([[BFF, serviceRef(own.name, settings.server.listen.port, 'http:')]])
  const homes = new Map<string, string | undefined>([[BFF, own.namespace]])
  const external: object[] = []
  for (const [name, url] of plan.services) {
    const service = clusterService(url.hostname)
    const port = Number(portOf(url))
    homes.set(name, service === undefined ? own.namespace : (service.namespace ?? own.namespace))
    targets.set(name, serviceRef(service?.name ?? name, port, url.protocol))
    if (service === undefined) external.push(externalName(name, own.namespace, url.hostname, port))
  }
  const byNamespace = Map.groupBy(plan.routers, (r) => homes.get(r.service) ?? own.namespace)
  const objects = [...byNamespace].flatMap(([namespace, routers]) => [
    ...middlewares(plan, routers, namespace),
    ingressRoute(routers, targets, namespace, o),
  ])
  return [
    header(settings, o, external.length > 0),
    ...[...external, ...objects].map((object) =>
      new Document(object, { aliasDuplicateObjects: false }).toString({ lineWidth: 0 }),
    ),
  ].join('---\n')
}

function middlewares(plan: Plan, routers: readonly PlannedRouter[], namespace: string | undefined): object[] {
  const used = new Set(routers.flatMap((r) => r.middlewares))
  const specs = [
    ...[...plan.forwardAuths].map(([name, auth]) => [name, { forwardAuth: withSecrets(auth) }] as const),
    ...[...plan.prefixes].map(([name, prefix]) => [name, { addPrefix: { prefix } }] as const),
  ]
  return specs
    .filter(([name]) => used.has(name))
    .map(([name, spec]) => ({ apiVersion: API_VERSION, kind: 'Middleware', metadata: metadata(name, namespace), spec }))
}

/** Certificates come from Secrets here, not from files. */
function withSecrets({ tls, ...auth }: ForwardAuth): object {
  if (tls === undefined) return auth
  return { ...auth, tls: { caSecret: CA_SECRET, ...(tls.cert === undefined ? {} : { certSecret: CLIENT_SECRET }) } }
}

function ingressRoute(
  routers: readonly PlannedRouter[],
  targets: ReadonlyMap<string, object>,
  namespace: string | undefined,
  o: GenerateOptions,
): object {
  const routes = routers.map((r) => ({
    kind: 'Rule',
    match: r.rule,
    priority: r.priority,
    ...(r.middlewares.length === 0 ? {} : { middlewares: r.middlewares.map((name) => ({ name })) }),
    services: [targets.get(r.service) ?? { name: r.service, kind: 'TraefikService' }],
  }))
  const spec = { entryPoints: [o.entryPoint], routes, ...(o.tls ? { tls: {} } : {}) }
  return { apiVersion: API_VERSION, kind: 'IngressRoute', metadata: metadata(BFF, namespace), spec }
}

function serviceRef(name: string, port: number, protocol: string): object {
  return { name, port, ...(protocol === 'https:' ? { scheme: 'https' } : {}) }
}

function externalName(name: string, namespace: string | undefined, host: string, port: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata(name, namespace),
    spec: { type: 'ExternalName', externalName: host, ports: [{ port }] },
  }
}

const metadata = (name: string, namespace: string | undefined): object => ({
  name,
  ...(namespace === undefined ? {} : { namespace }),
})

/** `orders`, `orders.shop.svc`, `orders.shop.svc.cluster.local`. Another name is one of outside. */
function clusterService(host: string): ClusterService | undefined {
  const [name = '', namespace, svc] = host.split('.')
  if (isIP(host.replace(/^\[|\]$/g, '')) !== 0 || host === 'localhost') return undefined
  if (namespace === undefined) return { name, namespace }
  return svc === 'svc' ? { name, namespace } : undefined
}

/** Whether a Service can stand for this host: ExternalName takes names alone. */
export function isReachable(host: string): boolean {
  return clusterService(host) !== undefined || (isIP(host.replace(/^\[|\]$/g, '')) === 0 && host !== 'localhost')
}

function header(settings: Settings, o: GenerateOptions, external: boolean): string {
  const secrets =
    settings.server.verifyListen === undefined
      ? []
      : [
          '',
          'Certificates for the checks, in each namespace below (traefik-bff certs makes them):',
          `  kubectl create secret generic ${CA_SECRET} --from-file=tls.ca=ca.pem`,
          ...(settings.server.verifyTls?.clientCa === undefined
            ? []
            : [`  kubectl create secret tls ${CLIENT_SECRET} --cert=traefik.pem --key=traefik.key`]),
        ]
  return `${[
    'Middleware and IngressRoute objects, made by `traefik-bff generate kubernetes`: kubectl apply -f.',
    'Make them anew when settings.yaml or routes.yaml change.',
    '',
    'Traefik itself (docs/traefik.md says why):',
    ...(external ? ['  --providers.kubernetesCRD.allowExternalNameServices=true'] : []),
    ...staticArguments(settings, o.entryPoint).map((line) => `  ${line}`),
    ...secrets,
  ]
    .map((line) => (line === '' ? '#' : `# ${line}`))
    .join('\n')}\n`
}
