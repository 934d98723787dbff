/**
 * `npm run bench -- --quick`, under a minute: the ratios of processor time that hold on any machine. They are printed; only one
 * that is far below what it was when it was written down fails, for then something was broken and not merely slowed.
 */
import { compare, printTable, ratio, type Contender } from './load/compare.ts'
import { goal, report } from './load/goals.ts'
import { checkHeaders } from './load/service.ts'
import { inWorld } from './load/world.ts'
import { PUBLIC_HOST } from '../support/service.ts'

const OPTIONS = { rounds: 3, requests: 1000, warmUp: 4000 }

await inWorld(async (w) => {
  const upstream = await w.rival('upstream')
  const base_url = `http://127.0.0.1:${upstream.port}`
  const [ours, bare, library] = await Promise.all([
    w.ours({
      routes: (r) => {
        r.services['orders'] = { base_url }
        for (const route of r.routes) if (route['id'] === 'orders') route['upstream_path'] = '/{path}'
      },
    }),
    w.rival('bare'),
    w.rival('httpxy', base_url),
  ])
  // One and the same cookies to all.
  const cookiesFile = await w.signIn(ours)
  const contender = (
    name: string,
    at: { readonly pid: number },
    port: number,
    path: string,
    host?: string,
  ): Contender => ({
    name,
    pids: [at.pid],
    job: {
      port,
      protocol: 'http1',
      path,
      headers: checkHeaders('/orders/1', host),
      cookiesFile,
      connections: 16,
      expect: 200,
    },
  })
  const figures = await compare(
    w.load,
    [
      contender('node:http, does nothing', bare, bare.port, '/'),
      contender('ours, a check', ours, ours.port('main'), '/auth/verify'),
      contender('http-proxy alone', library, library.port, '/orders/1', PUBLIC_HOST),
      contender('ours, a proxied request', ours, ours.port('main'), '/orders/1', PUBLIC_HOST),
    ],
    OPTIONS,
  )
  printTable('quick, HTTP/1.1, 16 connections', figures)
  const goals = [
    ...goal(
      'a check: ours / node:http, processor time',
      ratio(figures, 'ours, a check', 'node:http, does nothing')?.cpu,
      'least',
      0.25,
    ),
    ...goal(
      'proxy: ours / http-proxy alone, processor time',
      ratio(figures, 'ours, a proxied request', 'http-proxy alone')?.cpu,
      'least',
      0.5,
    ),
  ]
  report('quick', { figures }, goals)
  if (goals.some((g) => !g.met)) process.exitCode = 1
})
