/**
 * The demo's provider, APIs and SPA without Traefik and the service: for docker-compose.yml, where those are containers of
 * their own. Listens on all addresses of its network; the compose file publishes on loopback alone.
 */
import { startApi } from './apis/api.ts'
import { BILLING_AUDIENCE, ORDERS_AUDIENCE, RESOURCES, clientsFor } from './config.ts'
import { startDemoProvider } from './provider/provider.ts'
import { startSpa } from './spa/server.ts'

const PORTS = { traefik: 8000, provider: 8001, orders: 9101, billing: 9102, spa: 9103 }
const host = '0.0.0.0'
const issuer = `http://localhost:${PORTS.provider}`

const parts = [
  await startDemoProvider({
    port: PORTS.provider,
    host,
    issuer,
    clients: clientsFor(PORTS.traefik),
    resources: RESOURCES,
    accessTokenTtlS: 300,
  }),
  await startApi({ name: 'orders', audience: ORDERS_AUDIENCE, issuer, port: PORTS.orders, host }),
  await startApi({ name: 'billing', audience: BILLING_AUDIENCE, issuer, port: PORTS.billing, host }),
  await startSpa({ port: PORTS.spa, host }),
]
console.log('demo parts ready')

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void Promise.allSettled(parts.map((p) => p.close())).then(() => process.exit(0))
  })
}
