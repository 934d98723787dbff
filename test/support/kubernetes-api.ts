import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown }
  readonly [key: string]: unknown
}

/** As much of the Kubernetes API as Traefik's CRD provider asks for: lists and watches of objects that never change. */
export async function startKubernetesApi(
  objects: readonly KubernetesObject[],
): Promise<{ url: string; close(): void }> {
  const placed = objects.map((o) => ({ ...o, metadata: { namespace: 'default', resourceVersion: '1', ...o.metadata } }))
  const server: Server = createServer((req, res) => {
    const url = new URL(req.url ?? '/', 'http://api.invalid')
    const plural = url.pathname.split('/').at(-1) ?? ''
    const apiVersion = /^\/apis?\/((?:[^/]+\/)?v[^/]+)\//.exec(url.pathname)?.[1]?.replace(/^api\//, '') ?? 'v1'
    const items = placed.filter((o) => `${o.kind.toLowerCase()}s` === plural && o.apiVersion === apiVersion)
    res.writeHead(200, { 'content-type': 'application/json' })
    if (!url.searchParams.has('watch')) {
      res.end(JSON.stringify({ kind: 'List', apiVersion, metadata: { resourceVersion: '1' }, items }))
      return
    }
    res.flushHeaders()
    if (url.searchParams.get('sendInitialEvents') !== 'true') return
    const told = { annotations: { 'k8s.io/initial-events-end': 'true' }, resourceVersion: '1' }
    for (const object of items) res.write(`${JSON.stringify({ type: 'ADDED', object })}\n`)
    const kind = items[0]?.kind ?? KINDS[plural] ?? 'Service'
    res.write(`${JSON.stringify({ type: 'BOOKMARK', object: { kind, apiVersion, metadata: told } })}\n`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

const KINDS: Readonly<Record<string, string>> = {
  ingressroutes: 'IngressRoute',
  ingressroutetcps: 'IngressRouteTCP',
  ingressrouteudps: 'IngressRouteUDP',
  middlewares: 'Middleware',
  middlewaretcps: 'MiddlewareTCP',
  traefikservices: 'TraefikService',
  serverstransports: 'ServersTransport',
  serverstransporttcps: 'ServersTransportTCP',
  tlsoptions: 'TLSOption',
  tlsstores: 'TLSStore',
  secrets: 'Secret',
  nodes: 'Node',
  configmaps: 'ConfigMap',
  endpointslices: 'EndpointSlice',
}
