/**
 * `npm run bench -- verify [rounds]`: `/auth/verify` over HTTP/1.1 with a warm session and token, in the service's own process,
 * against node:http that does nothing, against Express with express-session and connect-redis on the same Valkey, and
 * against oauth2-proxy where OAUTH2_PROXY_BIN names one. The ratios are what counts.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '../../demo/launcher/index.ts'
import { startGenerator, startRival, usage } from './load/client.ts'
import { compare, printTable, ratio, type Contender } from './load/compare.ts'
import { goal, report } from './load/goals.ts'
import { OAUTH2_PROXY_CLIENT, startOauth2Proxy } from './load/oauth2-proxy.ts'
import { checkHeaders, signIn, startProviderFor, startServiceProcess, type ServiceProcess } from './load/service.ts'
import { Client } from '../support/client.ts'

const rounds = Number(process.argv[2] ?? 7)
const dir = mkdtempSync(join(tmpdir(), 'bff-bench-verify-'))
const ends: (() => unknown)[] = [() => rmSync(dir, { recursive: true, force: true })]
const own = <T extends { stop(): unknown }>(thing: T): T => {
  ends.push(() => thing.stop())
  return thing
}
try {
  const provider = await startProviderFor({ moreClients: [OAUTH2_PROXY_CLIENT], accessTokenTtlS: 3600 })
  ends.push(() => provider.close())
  const redis = own(await startRedis())
  const load = own(startGenerator())
  const withRedis = own(await startOurs(redis.url, 'warn'))
  const withInfo = own(await startOurs(redis.url, 'info'))
  const withSqlite = own(await startOurs(`sqlite:${join(dir, 'sessions.db')}`, 'warn'))
  const bare = own(await startRival('bare'))
  const textbook = own(await startRival('textbook', redis.url))
  const rival = await startOauth2Proxy(provider, redis.url)
  if (rival !== undefined) own(rival)
  else console.error('oauth2-proxy: not measured, OAUTH2_PROXY_BIN names none')

  async function startOurs(store: string, level: string): Promise<ServiceProcess> {
    return startServiceProcess({
      issuer: provider.issuer,
      store,
      settings: (s) => Object.assign(s, { log: { level } }),
    })
  }
  const contender = (
    name: string,
    pid: number,
    port: number,
    cookie: string,
    path = '/auth/verify',
    expect = 200,
  ): Contender => {
    const cookiesFile = join(dir, `${name.replace(/\W/g, '_')}.cookies`)
    writeFileSync(cookiesFile, cookie)
    return {
      name,
      pids: [pid],
      job: { port, protocol: 'http1', path, headers: checkHeaders('/orders/1'), cookiesFile, connections: 16, expect },
    }
  }
  const cookieOf = async (s: ServiceProcess): Promise<string> =>
    (await signIn(s.client(), '/auth/login', provider)).header('/')
  const ours = async (name: string, s: ServiceProcess): Promise<Contender> =>
    contender(name, s.pid, s.port('main'), await cookieOf(s))
  // Whoever has no cookies of its own gets those of ours: one and the same request.
  const cookie = await cookieOf(withRedis)
  const shopper = new Client(`http://127.0.0.1:${textbook.port}`, 'localhost:8000')
  await shopper.get('/login')
  const contenders = [
    contender('node:http, does nothing', bare.pid, bare.port, cookie),
    contender('ours, Redis', withRedis.pid, withRedis.port('main'), cookie),
    await ours('ours, Redis, log at info', withInfo),
    await ours('ours, SQLite', withSqlite),
    contender('Express + express-session', textbook.pid, textbook.port, shopper.header('/')),
    ...(rival === undefined
      ? []
      : [contender('oauth2-proxy, Redis', rival.pid, rival.port, rival.cookie, '/oauth2/auth', 202)]),
  ]
  const figures = await compare(load, contenders, { rounds, requests: 12_000, warmUp: 30_000 })
  printTable('verify over HTTP/1.1, 16 connections', figures)
  const over = (b: string): number | undefined => ratio(figures, 'ours, Redis', b)?.per_s
  report(
    'verify',
    {
      figures,
      ratios: {
        ours_over_bare: ratio(figures, 'ours, Redis', 'node:http, does nothing'),
        ours_over_textbook: ratio(figures, 'ours, Redis', 'Express + express-session'),
        ours_over_oauth2_proxy: ratio(figures, 'ours, Redis', 'oauth2-proxy, Redis'),
        info_over_warn: ratio(figures, 'ours, Redis, log at info', 'ours, Redis'),
        sqlite_over_redis: ratio(figures, 'ours, SQLite', 'ours, Redis'),
      },
      rss_mb: Object.fromEntries(contenders.map((c) => [c.name, Math.round(usage(c.pids[0] ?? 0).rssMb)])),
    },
    [
      ...goal('verify over HTTP/1.1: ours / node:http', over('node:http, does nothing'), 'least', 0.6),
      ...goal('verify over HTTP/1.1: ours / oauth2-proxy', over('oauth2-proxy, Redis'), 'least', 2),
      ...goal('verify over HTTP/1.1: ours / Express + express-session', over('Express + express-session'), 'least', 2),
    ],
  )
} finally {
  for (const end of ends.reverse()) await end()
}
