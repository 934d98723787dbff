/**
 * `npm run bench -- growth [most]`: what a session costs in Valkey, and whether a check costs more where there are more of
 * them: 1 thousand, 100 thousand, 1 million (or up to `most`). The sessions are written by the product's own store. Beside
 * the growing store stands one that keeps 1,000: rounds alternate between both, so that a busy machine slows both alike.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { loadConfig } from '../../config/load.ts'
import { startRedis, type Redis } from '../../demo/launcher/index.ts'
import { median, rounded, startGenerator, usage, type Generator } from './load/client.ts'
import { goal, report } from './load/goals.ts'
import { openSeeder, type Kind } from './load/seed.ts'
import { checkHeaders, startProviderFor, startServiceProcess, type ServiceProcess } from './load/service.ts'

const most = Number(process.argv[2] ?? 1_000_000)
const SIZES = [1000, 100_000, 1_000_000].filter((n) => n <= most)
/** Side by side, and of all of them at random. */
const ROUNDS = { turns: 21, spread: 7 }
const REQUESTS = 12_000
const WARM_UPS = 8

interface Site {
  readonly redis: Redis
  readonly service: ServiceProcess
  readonly memory: () => Promise<number>
  readonly seed: (count: number, kind: Kind, file: string) => Promise<void>
  stop(): Promise<void>
}

interface Measured {
  readonly warm_cpu_us: number
  readonly beside_cpu_us: number
}

const dir = mkdtempSync(join(tmpdir(), 'bff-growth-'))
const provider = await startProviderFor()
const load = startGenerator()
const sites: Site[] = []
try {
  const beside = await openSite()
  await beside.seed(1000, 'minimal', join(dir, 'beside'))
  const bytes = { realistic: await bytesEach(beside, 'realistic', 5000), minimal: 0 }
  const growing = await openSite()
  const start = await growing.memory()
  const sizes = []
  let have = 0
  for (const size of SIZES) {
    const began = performance.now()
    if (have === 0) {
      await growing.seed(1000, 'minimal', join(dir, 'warm'))
      // Compilers first: both services are as warm at the first size as at the last.
      for (let i = 0; i < WARM_UPS; i++) {
        await one(load, growing, join(dir, 'warm'))
        await one(load, beside, join(dir, 'beside'))
      }
    }
    await growing.seed(size - Math.max(have, 1000), 'minimal', join(dir, 'all'))
    const seededS = rounded((performance.now() - began) / 1000, 1)
    have = size
    bytes.minimal = Math.round(((await growing.memory()) - start) / size)
    sizes.push({ sessions: size, seeded_in_s: seededS, ...(await measure(growing, beside, size)) })
    console.error(JSON.stringify(sizes.at(-1)))
  }
  const last = sizes.at(-1)
  report(
    'growth',
    { bytes_per_session: bytes, sizes },
    goal(
      `sessions: a check among ${(last?.sessions ?? 0).toLocaleString('en')} / among 1,000, processor time`,
      last === undefined ? undefined : last.warm_cpu_us / last.beside_cpu_us,
      'most',
      1.1,
    ),
  )
} finally {
  load.stop()
  for (const s of sites) await s.stop()
  await provider.close()
  rmSync(dir, { recursive: true, force: true })
}

async function openSite(): Promise<Site> {
  const redis = await startRedis()
  const service = await startServiceProcess({
    issuer: provider.issuer,
    store: redis.url,
    settings: (s) => Object.assign(s, { log: { level: 'warn' } }),
  })
  const loaded = loadConfig(service.dir, {})
  if (!loaded.ok) throw new Error('the config of the bench does not load')
  const seeder = openSeeder(loaded.settings, provider.issuer, redis)
  await seeder.compare()
  const admin = createClient({ url: redis.url })
  await admin.connect()
  const site: Site = {
    redis,
    service,
    memory: async () => Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1]),
    seed: (...a) => seeder.add(...a),
    stop: async () => {
      admin.destroy()
      await service.stop()
      await redis.stop()
    },
  }
  sites.push(site)
  return site
}

async function bytesEach(site: Site, kind: Kind, count: number): Promise<number> {
  const before = await site.memory()
  await site.seed(count, kind, join(dir, kind))
  return Math.round(((await site.memory()) - before) / count)
}

/** A fixed warm set of 1,000 in the store of `size` against the same in the small store; then all of them, at random. */
async function measure(
  growing: Site,
  beside: Site,
  size: number,
): Promise<Measured & Readonly<Record<string, unknown>>> {
  const rates: Record<'warm' | 'beside' | 'spread', number[]> = { warm: [], beside: [], spread: [] }
  const cpuUs: typeof rates = { warm: [], beside: [], spread: [] }
  let latency: object = {}
  const all = size === 1000 ? 'warm' : 'all'
  // Side by side first; what is asked at random leaves work for the collector, which is another question.
  for (const { rounds, turns } of [
    {
      rounds: ROUNDS.turns,
      turns: [
        ['warm', growing, 'warm'],
        ['beside', beside, 'beside'],
      ],
    },
    { rounds: ROUNDS.spread, turns: [['spread', growing, all]] },
  ] as const)
    for (let round = 0; round < rounds; round++)
      for (const [what, site, file] of turns) {
        const before = usage(site.service.pid).cpuMs
        const out = await one(load, site, join(dir, file))
        if (round === 0) continue
        rates[what].push(out.perSecond)
        cpuUs[what].push(((usage(site.service.pid).cpuMs - before) * 1000) / out.requests)
        if (what === 'spread') latency = out.us
      }
  return {
    warm_over_warm_of_1000: rounded(median(rates.warm.map((r, i) => r / (rates.beside[i] ?? 1)))),
    warm_per_s: median(rates.warm),
    warm_cpu_us: rounded(median(cpuUs.warm), 1),
    beside_cpu_us: rounded(median(cpuUs.beside), 1),
    spread_per_s: median(rates.spread),
    spread_cpu_us: rounded(median(cpuUs.spread), 1),
    spread_us: latency,
    service_rss_mb: Math.round(usage(growing.service.pid).rssMb),
    store_rss_mb: Math.round(usage(growing.redis.pid).rssMb),
  }
}

function one(generator: Generator, site: Site, cookiesFile: string) {
  return generator.run({
    port: site.service.port('main'),
    protocol: 'http1',
    path: '/auth/verify',
    headers: checkHeaders('/plain/1'),
    cookiesFile,
    connections: 16,
    requests: REQUESTS,
    expect: 200,
  })
}
