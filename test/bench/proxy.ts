/**
 * `npm run bench -- proxy [rounds]`: our proxy mode against http-proxy (which is httpxy; ours carries WebSockets with it) and
 * against nginx, before the same tiny upstream in a process of its own. A ladder says what each part of ours costs: the
 * library, our forwarding with a fixed verdict, the whole service with a public route, with session and token.
 */
import { compare, printTable, ratio, type Contender, type Figures } from './load/compare.ts'
import { goal, report } from './load/goals.ts'
import { startNginx } from './load/nginx.ts'
import { rounded } from './load/client.ts'
import { checkHeaders } from './load/service.ts'
import { inWorld } from './load/world.ts'
import { PUBLIC_HOST } from '../support/service.ts'

const ROUNDS = Number(process.argv[2] ?? 7)
const REQUESTS = Number(process.argv[3] ?? 2000)
const WARM_UP = REQUESTS * 4
const TOKEN = 'x'.repeat(900)
const LADDER = ['http-proxy alone', 'ours, a fixed verdict', 'ours, a public route', 'ours, session and token']

await inWorld(async (w) => {
  const upstream = await w.rival('upstream')
  const base_url = `http://127.0.0.1:${upstream.port}`
  const ours = await w.ours({
    routes: (r) => {
      r.services['orders'] = { base_url }
      for (const route of r.routes) {
        if (!['orders', 'open'].includes(String(route['id']))) continue
        route['upstream_path'] = '/{path}'
        route['target_service'] = 'orders'
      }
    },
  })
  const library = await w.rival('httpxy', base_url)
  const forwarder = await w.rival('forwarder', base_url, TOKEN)
  const nginx = await startNginx(w.dir, upstream.port)
  if (nginx === undefined) console.error('nginx is left out: none on PATH, and NGINX_BIN names none')
  else w.defer(() => nginx.stop())
  // One and the same request to all.
  const cookiesFile = await w.signIn(ours)
  const contender = (name: string, pid: number, port: number, path: string): Contender => ({
    name,
    pids: [pid],
    job: {
      port,
      protocol: 'http1',
      path,
      headers: checkHeaders(path, PUBLIC_HOST),
      cookiesFile,
      connections: 16,
      expect: 200,
    },
  })
  const contenders = [
    contender('the upstream itself', upstream.pid, upstream.port, '/orders/1'),
    ...(nginx === undefined ? [] : [contender('nginx, one worker', nginx.pid, nginx.port, '/orders/1')]),
    contender(LADDER[0] ?? '', library.pid, library.port, '/orders/1'),
    contender(LADDER[1] ?? '', forwarder.pid, forwarder.port, '/orders/1'),
    contender(LADDER[2] ?? '', ours.pid, ours.port('main'), '/open/1'),
    contender(LADDER[3] ?? '', ours.pid, ours.port('main'), '/orders/1'),
  ]
  const figures = await compare(w.load, contenders, { rounds: ROUNDS, requests: REQUESTS, warmUp: WARM_UP })
  printTable('through a proxy, HTTP/1.1, 16 connections', figures)
  const ladder = steps(figures)
  console.error(`\n${'each step more than the one before'.padEnd(44)}CPU µs`)
  for (const [name, us] of Object.entries(ladder)) console.error(`${name.padEnd(44)}${String(us).padStart(6)}`)
  const over = ratio(figures, 'ours, session and token', 'http-proxy alone')
  report(
    'proxy',
    { figures, steps_cpu_us: ladder, ours_over_nginx: ratio(figures, 'ours, session and token', 'nginx, one worker') },
    [
      ...goal('proxy: ours / http-proxy alone, requests a second', over?.per_s, 'least', 0.95),
      ...goal('proxy: ours / http-proxy alone, processor time', over?.cpu, 'least', 0.95),
    ],
  )
})

function steps(figures: readonly Figures[]): Record<string, number> {
  const cpu = (name: string): number => figures.find((f) => f.name === name)?.cpu_us ?? NaN
  return Object.fromEntries(
    LADDER.map((name, i) => [name, rounded(cpu(name) - (i === 0 ? 0 : cpu(LADDER[i - 1] ?? '')), 1)]),
  )
}
