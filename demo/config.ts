import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ClientMetadata } from 'oidc-provider'
import { parse, stringify } from 'yaml'
import { ACR_OTP } from './provider/accounts.ts'
import { buildForwardAuth } from '../traefik/generate/middleware.ts'

export const ORDERS_AUDIENCE = 'https://orders.demo.example'
export const BILLING_AUDIENCE = 'https://billing.demo.example'
export const ROBOT_SECRET = 'demo-only-robot-secret'
export const CLIENT_SECRET = 'demo-only-client-secret'

export interface Ports {
  readonly traefik: number
  readonly provider: number
  readonly service: number
  readonly admin: number
  readonly spa: number
  readonly orders: number
  readonly billing: number
}

type Yaml = Record<string, unknown>

/** The service's settings.yaml: what an operator would write, with the demo's secrets. */
export function settingsFor(ports: Ports, store: string): Yaml {
  return {
    server: {
      public_url: `http://localhost:${ports.traefik}`,
      listen: `127.0.0.1:${ports.service}`,
      admin_listen: `127.0.0.1:${ports.admin}`,
      trusted_proxies: ['127.0.0.1/32'],
    },
    auth: {
      issuer: `http://localhost:${ports.provider}`,
      client_id: 'bff-server',
      client_secret: CLIENT_SECRET,
      oauth_scopes: 'openid profile email groups offline_access orders.read orders.write billing.read',
    },
    session: {
      secret: 'demo-only-session-secret-change-me-0123456789',
      store,
      idle_timeout: '30m',
      absolute_timeout: '12h',
    },
    tokens: { audience_parameter: 'resource', warm_up: 'login' },
    service_tokens: {
      orders: { audience: ORDERS_AUDIENCE, scopes: ['orders.read', 'orders.write'] },
      billing: { audience: BILLING_AUDIENCE, scopes: ['billing.read'] },
    },
    // A program of the house: client_credentials at the same provider, for the orders API.
    bearer_issuers: { house: { issuer: `http://localhost:${ports.provider}`, audience: ORDERS_AUDIENCE } },
    identity_headers: { map: { 'X-Department': 'department.name' } },
  }
}

/**
 * The service's routes.yaml: `/orders`, `/billing` and `/reports` in header mode, `/api/…` through the proxy. `reports` has a
 * route and no audience: nobody can get a token for it.
 */
export function routesFor(ports: Pick<Ports, 'orders' | 'billing'>): Yaml {
  return {
    services: {
      orders: { base_url: `http://127.0.0.1:${ports.orders}` },
      billing: { base_url: `http://127.0.0.1:${ports.billing}` },
    },
    routes: [
      { id: 'orders', path: '/orders/*', target_service: 'orders' },
      { id: 'admin', path: '/orders/admin/*', target_service: 'orders', require: { groups: ['admins'] } },
      { id: 'robots', path: '/orders/robots/*', target_service: 'orders', bearer: ['house'] },
      { id: 'payments', path: '/billing/payments/*', target_service: 'billing', require: { acr: [ACR_OTP] } },
      { id: 'billing', path: '/billing/*', target_service: 'billing' },
      { id: 'reports', path: '/reports/*', target_service: 'reports' },
      {
        id: 'api-orders',
        path: '/api/orders/*',
        target_service: 'orders',
        upstream_path: '/v1/orders/{path}',
        timeout: '10s',
        websocket_max_age: '1h',
      },
      { id: 'api-billing', path: '/api/billing/*', target_service: 'billing', upstream_path: '/v1/billing/{path}' },
    ],
  }
}

/** Resources that the demo's provider knows, with their scopes. */
export const RESOURCES: ReadonlyMap<string, string> = new Map([
  [ORDERS_AUDIENCE, 'orders.read orders.write'],
  [BILLING_AUDIENCE, 'billing.read'],
])

interface Dynamic {
  http: {
    middlewares: Record<
      string,
      { forwardAuth: Yaml & { authResponseHeaders: string[]; authResponseHeadersRegex: string } }
    >
    routers: Record<string, Yaml>
    services: Yaml
  }
}
interface Static extends Yaml {
  entryPoints: Record<string, Yaml>
}

const checkedIn = (name: string): unknown =>
  parse(readFileSync(join(import.meta.dirname, '..', 'traefik', name), 'utf8'))

/** traefik/static.yaml as checked in, on the demo's port of loopback. `{dynamic}` is filled in by the launcher. */
export function traefikStatic(ports: Pick<Ports, 'traefik'>, change: (s: Static) => void = () => undefined): string {
  const s = checkedIn('static.yaml') as Static
  s.entryPoints = { web: { ...s.entryPoints['web'], address: `127.0.0.1:${ports.traefik}` } }
  s['providers'] = { file: { directory: '{dynamic}', watch: true } }
  s['global'] = { checkNewVersion: false, sendAnonymousUsage: false }
  change(s)
  return stringify(s)
}

/** traefik/dynamic.yaml as checked in: its routers to the service and its guard of verify; the middleware as `generate` makes it. */
export function traefikDynamic(ports: Ports, change: (d: Dynamic) => void = () => undefined): string {
  const d = checkedIn('dynamic.yaml') as Dynamic
  // As for any operator's own map: the demo's has names that the checked-in list lacks.
  const made = buildForwardAuth({
    identity: { map: { 'X-Department': 'department.name' } },
    server: { listen: { host: '127.0.0.1', port: ports.service }, basePath: '/auth' },
  })
  const auth = { forwardAuth: { ...made, authResponseHeaders: [...made.authResponseHeaders] } }
  const { bff, 'bff-verify-is-not-public': guard, api: proxied } = d.http.routers
  d.http.middlewares = { 'bff-auth': auth }
  const api = (name: string, service = name): Yaml => ({
    entryPoints: ['web'],
    rule: `PathPrefix(\`/${name}\`)`,
    middlewares: ['bff-auth'],
    service,
  })
  d.http.routers = {
    ...(bff === undefined ? {} : { bff }),
    ...(guard === undefined ? {} : { 'bff-verify-is-not-public': guard }),
    ...(proxied === undefined ? {} : { api: proxied }),
    orders: api('orders'),
    billing: api('billing'),
    reports: api('reports', 'billing'),
    spa: { entryPoints: ['web'], rule: 'PathPrefix(`/`)', priority: 1, service: 'spa' },
  }
  const at = (port: number): Yaml => ({ loadBalancer: { servers: [{ url: `http://127.0.0.1:${port}` }] } })
  d.http.services = { bff: at(ports.service), orders: at(ports.orders), billing: at(ports.billing), spa: at(ports.spa) }
  change(d)
  return stringify(d)
}

/** The service's registration at the demo's provider. */
export function clientsFor(traefikPort: number, hosts: readonly string[] = ['localhost']): ClientMetadata[] {
  const origins = hosts.map((host) => `http://${host}:${traefikPort}`)
  return [
    {
      client_id: 'bff-server',
      client_secret: CLIENT_SECRET,
      redirect_uris: origins.map((o) => `${o}/auth/callback`),
      post_logout_redirect_uris: origins.map((o) => `${o}/auth/logged-out`),
      grant_types: ['authorization_code', 'refresh_token'],
    },
    {
      client_id: 'robot',
      client_secret: ROBOT_SECRET,
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
    },
  ]
}
