/**
 * `npm run bench -- traefik [rounds]`: requests through a real Traefik to a tiny upstream, with our check over HTTP/1.1 and over
 * HTTP/2 (mutual TLS), with a server that says yes to all over both, with one that says it with the headers of our yes, with
 * oauth2-proxy, and without any check. One Traefik, an entry point each, the very middleware of traefik/dynamic.yaml: only its
 * address differs.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { certs } from '../../commands/certs.ts'
import { freePort, startTraefik, until } from '../../demo/launcher/index.ts'
import { send } from '../support/client.ts'
import { PUBLIC_HOST } from '../support/service.ts'
import { compare, printTable, ratio, type Contender, type Figures } from './load/compare.ts'
import { goal, report } from './load/goals.ts'
import { checkHeaders, type ServiceProcess } from './load/service.ts'
import { inWorld } from './load/world.ts'

const ROUNDS = process.argv[2] === undefined ? undefined : Number(process.argv[2])
const CONNECTIONS = (process.argv[3] ?? '32,8,2').split(',').map(Number)
/** The goals are of 32 clients. */
const roundsOf = (connections: number): number => ROUNDS ?? (connections >= 32 ? 11 : 5)
/** Of each contender in each round, by clients at once: long enough to be more than the opening of its connections. */
const requestsOf = (connections: number): number => (connections >= 32 ? 6000 : 1500)
/** Before the first round: so many until a server's code is compiled. One that runs for days has that behind it. */
const WARM_UP = 30_000

interface Door {
  readonly name: string
  /** Of the check; none: no middleware. */
  readonly address?: string
  readonly tls?: object
  readonly pids: readonly number[]
  readonly cookiesFile: string
}

await inWorld(async (w) => {
  const tls = join(w.dir, 'tls')
  if (certs(w.dir, { out: tls, hosts: [], force: false }, () => undefined, console.error) !== 0)
    throw new Error('no certificates')
  const file = (name: string): string => join(tls, name)
  const ours = await w.ours({
    settings: (s) => {
      s.server['verify_listen'] = '127.0.0.1:0'
      s.server['verify_tls'] = { cert: file('bff.pem'), key: file('bff.key'), client_ca: file('ca.pem') }
    },
  })
  const bare = await w.rival('bare')
  const bare2 = await w.rival('bare-http2', file('bff.pem'), file('bff.key'))
  const upstream = await w.rival('upstream')
  const oauth2Proxy = await w.oauth2Proxy()
  const cookiesFile = await w.signIn(ours)
  const saysOurs = await w.rival('bare-http2', file('bff.pem'), file('bff.key'), await headersOfYes(ours, cookiesFile))
  const mutual = { ca: file('ca.pem'), cert: file('traefik.pem'), key: file('traefik.key') }
  const doors: Door[] = [
    { name: 'no check', pids: [], cookiesFile },
    { name: 'null, HTTP/1.1', address: `http://127.0.0.1:${bare.port}/`, pids: [bare.pid], cookiesFile },
    {
      name: 'null, HTTP/2',
      address: `https://127.0.0.1:${bare2.port}/`,
      tls: mutual,
      pids: [bare2.pid],
      cookiesFile,
    },
    {
      name: 'null with our headers, HTTP/2',
      address: `https://127.0.0.1:${saysOurs.port}/`,
      tls: mutual,
      pids: [saysOurs.pid],
      cookiesFile,
    },
    {
      name: 'ours, HTTP/1.1',
      address: `http://127.0.0.1:${ours.port('main')}/auth/verify`,
      pids: [ours.pid],
      cookiesFile,
    },
    {
      name: 'ours, HTTP/2',
      address: `https://127.0.0.1:${ours.port('verify')}/auth/verify`,
      tls: mutual,
      pids: [ours.pid],
      cookiesFile,
    },
  ]
  if (oauth2Proxy !== undefined)
    doors.push({
      name: 'oauth2-proxy',
      address: `http://127.0.0.1:${oauth2Proxy.port}/oauth2/auth`,
      pids: [oauth2Proxy.pid],
      cookiesFile: w.cookies('oauth2-proxy', oauth2Proxy.cookie),
    })
  const ports = await Promise.all(doors.map(() => freePort()))
  const traefik = await startTraefik({
    port: ports[0] ?? 0,
    static: stringify({
      global: { checkNewVersion: false, sendAnonymousUsage: false },
      log: { level: 'ERROR' },
      providers: { file: { directory: '{dynamic}', watch: false } },
      entryPoints: Object.fromEntries(ports.map((port, i) => [`door${i}`, { address: `127.0.0.1:${port}` }])),
    }),
    dynamic: { 'bench.yaml': stringify(dynamic(doors, upstream.port)) },
  })
  w.defer(() => traefik.stop())
  for (const port of ports)
    await until('the routers', async () => (await fetch(`http://127.0.0.1:${port}/orders/1`)).status !== 404)
  const tables: Record<string, readonly Figures[]> = {}
  let warmUp = WARM_UP
  for (const connections of CONNECTIONS) {
    const contenders = doors.map((d, i): Contender => ({
      name: d.name,
      pids: d.pids,
      gateway: traefik.pid,
      job: {
        port: ports[i] ?? 0,
        protocol: 'http1',
        path: '/orders/1',
        headers: browser(),
        cookiesFile: d.cookiesFile,
        connections,
        expect: 200,
      },
    }))
    const figures = await compare(w.load, contenders, {
      rounds: roundsOf(connections),
      requests: requestsOf(connections),
      warmUp,
    })
    warmUp = 500
    printTable(`through Traefik, ${connections} connections (CPU: of the checking server; gateway: Traefik)`, figures)
    tables[connections] = figures
  }
  const at32 = tables[32] ?? []
  const over = (b: string): number | undefined => ratio(at32, 'ours, HTTP/2', b)?.per_s
  const atItsLeast = ratio(at32, 'ours, HTTP/2', 'null with our headers, HTTP/2')
  report('traefik', { tables, ours_over_null_with_our_headers: atItsLeast }, [
    ...goal('Traefik, 32 clients: ours over HTTP/2 / null over HTTP/1.1', over('null, HTTP/1.1'), 'least', 1.1),
    ...goal('Traefik, 32 clients: ours over HTTP/2 / null over HTTP/2', over('null, HTTP/2'), 'least', 0.9),
    ...goal('Traefik, 32 clients: ours over HTTP/2 / oauth2-proxy', over('oauth2-proxy'), 'least', 1.5),
  ])
})

/** Names and values in turn, as JSON. */
async function headersOfYes(ours: ServiceProcess, cookiesFile: string): Promise<string> {
  const headers = { ...checkHeaders('/orders/1'), cookie: readFileSync(cookiesFile, 'utf8') }
  const yes = await send(`http://127.0.0.1:${ours.port('main')}/auth/verify`, { headers })
  if (yes.status !== 200) throw new Error(`no yes, but ${yes.status}`)
  const ofHttp1 = ['connection', 'keep-alive', 'date']
  return JSON.stringify([...yes.headers].filter(([name]) => !ofHttp1.includes(name)).flat())
}

function dynamic(doors: readonly Door[], upstream: number): object {
  const checkedIn = parse(readFileSync(join(import.meta.dirname, '..', '..', 'traefik', 'dynamic.yaml'), 'utf8')) as {
    http: { middlewares: Record<string, { forwardAuth: object }> }
  }
  const forwardAuth = checkedIn.http.middlewares['bff-auth']?.forwardAuth
  const checked = doors.flatMap((d, i) => (d.address === undefined ? [] : [{ ...d, i }]))
  return {
    http: {
      routers: Object.fromEntries(
        doors.map((d, i) => [
          `router${i}`,
          {
            entryPoints: [`door${i}`],
            rule: 'PathPrefix(`/`)',
            service: 'upstream',
            ...(d.address === undefined ? {} : { middlewares: [`check${i}`] }),
          },
        ]),
      ),
      middlewares: Object.fromEntries(
        checked.map(({ i, address, tls }) => [
          `check${i}`,
          { forwardAuth: { ...forwardAuth, address, ...(tls === undefined ? {} : { tls }) } },
        ]),
      ),
      services: { upstream: { loadBalancer: { servers: [{ url: `http://127.0.0.1:${upstream}` }] } } },
    },
  }
}

/** What a browser's fetch says. */
function browser(): Record<string, string> {
  return {
    host: PUBLIC_HOST,
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    accept: 'application/json',
    'accept-encoding': 'gzip, deflate, br',
    'accept-language': 'en-US,en;q=0.5',
    'sec-fetch-dest': 'empty',
    'sec-fetch-mode': 'cors',
    'sec-fetch-site': 'same-origin',
  }
}
