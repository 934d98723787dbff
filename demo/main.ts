/**
 * `npm run demo`: Traefik, this service, an OpenID provider, two APIs and an SPA on this machine. `DEMO_PORT` moves it (the
 * provider has the next port), `DEMO_STORE=redis` keeps sessions in Valkey. Ctrl-C or SIGTERM ends every process it started.
 */
import { canListen } from './launcher/index.ts'
import { startWorld, type World } from './world.ts'

const port = Number(process.env['DEMO_PORT'] ?? '8000')
const store = process.env['DEMO_STORE'] === 'redis' ? 'redis' : 'sqlite'

let world: World | undefined
let ending: Promise<never> | undefined

function end(code: number): Promise<never> {
  ending ??= (async () => {
    await world?.stop()
    process.exit(code)
  })()
  return ending
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // A signal while things are being started: they end by themselves once startWorld has thrown or returned.
    if (world === undefined) interrupted = true
    else void end(0)
  })
}
let interrupted = false

async function main(): Promise<void> {
  if (!Number.isInteger(port) || port < 1 || port > 65_534)
    return fail(`DEMO_PORT=${process.env['DEMO_PORT'] ?? ''} is no port`)
  for (const taken of [port, port + 1]) {
    if (!(await canListen(taken)))
      return fail(`port ${taken} is taken. Stop what listens there, or choose others: DEMO_PORT=9000 npm run demo`)
  }
  console.log('starting Traefik, the service, a provider, two APIs and an SPA …')
  try {
    world = await startWorld({ port, store })
  } catch (e) {
    return fail(e instanceof Error ? e.message : String(e))
  }
  if (interrupted) return end(0)
  const traefik = world.traefik
  void world
    .service()
    .exited.then(
      (how) => ending ?? fail(`the service ended (${how}):\n${world?.service().output().slice(-2000) ?? ''}`),
    )
  void traefik.exited.then((how) => ending ?? fail(`Traefik ended (${how}):\n${traefik.output().slice(-2000)}`))
  console.log(`demo ready ${world.origin}

  1. Open ${world.origin} and click "Sign in": alice or bob, password demo.
  2. Call an API: you see the claims of the token that it received, each with its own audience.
  3. "GET /reports/today" has no token, "POST /orders without it" lacks the CSRF token: both are refused before the API.
  4. "GET /orders/admin/audit" is for admins (alice, not bob); "GET /billing/payments/7" wants the one-time code 123456.
  5. A program without a browser: see docs/demo.md.
  6. Sign out: the session, its tokens and the refresh token at the provider end.

  metrics   ${world.adminUrl}/metrics
  readiness ${world.adminUrl}/ready
  config    ${world.dir}

Ctrl-C ends everything.`)
}

async function fail(why: string): Promise<never> {
  console.error(`demo: ${why}`)
  return end(1)
}

await main()
