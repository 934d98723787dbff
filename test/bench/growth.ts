/**
 * `npm run bench -- growth [most]`: what a session costs in Valkey, and whether a check costs more where there are more of
 * them: 1 thousand, 100 thousand, 1 million (or up to `most`). The sessions are written by the product's own store. Beside
 * the growing store stands one that keeps 1,000: rounds alternate between both, so that a busy machine slows both alike.
 *
 * For each size both services are started anew, several times, and warmed alike, so that the store is all that they
 * differ in: a process that has lived through more is compiled for more, and two starts of one program differ by a tenth.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { loadConfig } from '../../config/load.ts'
import { startRedis, type Redis } from '../../demo/launcher/index.ts'
import { median, rounded, startGenerator, usage } from './load/client.ts'
import { goal, report } from './load/goals.ts'
import { openSeeder, type Kind } from './load/seed.ts'
import { checkHeaders, startProviderFor, startServiceProcess, type ServiceProcess } from './load/service.ts'

const most = Number(process.argv[2] ?? 1_000_000)
const SIZES = [1000, 100_000, 1_000_000].filter((n) => n <= most)
const STARTS = 3
/** A start: rounds to warm up, and then side by side; after the last start, of all sessions at random, and once more the same. */
const ROUNDS = { warmUp: 48, turns: 41, spread: 24, after: 24 }
/** Short rounds, many of them: what else the machine does comes and goes in a second, and hits both alike. */
const REQUESTS = 3000

/** A store and its sessions. */
interface Site {
  readonly redis: Redis
  readonly memory: () => Promise<number>
  readonly seed: (count: number, kind: Kind, file: string) => Promise<void>
  /** Cookies of 1,000 sessions. */
  readonly warm: string
}

interface Seen {
  readonly perS: number[]
  readonly cpuUs: number[]
}

const dir = mkdtempSync(join(tmpdir(), 'bff-growth-'))
const provider = await startProviderFor()
const load = startGenerator()
const ends: (() => unknown)[] = []
try {
  const [beside, growing] = [await openSite('beside'), await openSite('growing')]
  const realistic = await bytesEach(beside, 'realistic', 5000)
  const start = await growing.memory()
  await beside.seed(1000, 'minimal', beside.warm)
  await growing.seed(1000, 'minimal', growing.warm)
  const all = join(dir, 'all')
  let minimal = 0
  let have = 1000
  const sizes = []
  for (const size of SIZES) {
    const began = performance.now()
    await growing.seed(size - have, 'minimal', all)
    have = size
    const seededS = rounded((performance.now() - began) / 1000, 1)
    minimal = Math.round(((await growing.memory()) - start) / size)
    sizes.push({
      sessions: size,
      seeded_in_s: seededS,
      ...(await measure(growing, beside, size === 1000 ? growing.warm : all)),
    })
    console.error(JSON.stringify(sizes.at(-1)))
  }
  const last = sizes.at(-1)
  report(
    'growth',
    { bytes_per_session: { realistic, minimal }, sizes },
    goal(
      `sessions: a check among ${(last?.sessions ?? 0).toLocaleString('en')} / among 1,000, processor time`,
      last === undefined ? undefined : last.warm_cpu_us / last.beside_cpu_us,
      'most',
      1.1,
    ),
  )
} finally {
  load.stop()
  for (const end of ends.reverse()) await end()
  await provider.close()
  rmSync(dir, { recursive: true, force: true })
}

async function openSite(name: string): Promise<Site> {
  const redis = await startRedis()
  ends.push(() => redis.stop())
  // The keys that sessions are sealed with are those of every service here, so one that ended gives the config of all.
  const service = await startService(redis)
  const loaded = loadConfig(service.dir, {})
  await service.stop()
  if (!loaded.ok) throw new Error('the config of the bench does not load')
  const seeder = openSeeder(loaded.settings, provider.issuer, redis)
  await seeder.compare()
  const admin = createClient({ url: redis.url })
  await admin.connect()
  ends.push(() => admin.destroy())
  return {
    redis,
    memory: async () => Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1]),
    seed: (...a) => seeder.add(...a),
    warm: join(dir, name),
  }
}

function startService(redis: Redis): Promise<ServiceProcess> {
  return startServiceProcess({
    issuer: provider.issuer,
    store: redis.url,
    settings: (s) => Object.assign(s, { log: { level: 'warn' } }),
  })
}

async function bytesEach(site: Site, kind: Kind, count: number): Promise<number> {
  const before = await site.memory()
  await site.seed(count, kind, join(dir, kind))
  return Math.round(((await site.memory()) - before) / count)
}

/** A fixed warm set of 1,000 in the store of `size` against the same in the small store; then those of `all`, at random. */
async function measure(growing: Site, beside: Site, all: string) {
  const seen = { warm: none(), beside: none(), spread: none(), after: none(), besideAfter: none() }
  let latency: object = {}
  let rssMb = 0
  for (let start = 1; start <= STARTS; start++) {
    const [a, b] = [await startService(growing.redis), await startService(beside.redis)]
    try {
      const sideBySide = async (rounds: number, warm: Seen, other: Seen): Promise<void> => {
        for (let i = 0; i < rounds; i++) {
          await round(a, growing.warm, warm)
          await round(b, beside.warm, other)
        }
      }
      await sideBySide(ROUNDS.warmUp, none(), none())
      await sideBySide(ROUNDS.turns, seen.warm, seen.beside)
      if (start < STARTS) continue
      for (let i = 0; i < ROUNDS.spread; i++) latency = await round(a, all, seen.spread)
      rssMb = usage(a.pid).rssMb
      await sideBySide(4, none(), none())
      await sideBySide(ROUNDS.after, seen.after, seen.besideAfter)
    } finally {
      await a.stop()
      await b.stop()
    }
  }
  return {
    warm_over_warm_of_1000: rounded(median(seen.warm.perS) / median(seen.beside.perS)),
    warm_per_s: median(seen.warm.perS),
    warm_cpu_us: rounded(median(seen.warm.cpuUs), 1),
    beside_cpu_us: rounded(median(seen.beside.cpuUs), 1),
    spread_per_s: median(seen.spread.perS),
    spread_cpu_us: rounded(median(seen.spread.cpuUs), 1),
    spread_us: latency,
    warm_after_spread_cpu_us: rounded(median(seen.after.cpuUs), 1),
    beside_then_cpu_us: rounded(median(seen.besideAfter.cpuUs), 1),
    service_rss_mb: Math.round(rssMb),
    store_rss_mb: Math.round(usage(growing.redis.pid).rssMb),
  }
}

function none(): Seen {
  return { perS: [], cpuUs: [] }
}

/** Asks, and adds what was seen. */
async function round(service: ServiceProcess, cookiesFile: string, seen: Seen): Promise<object> {
  const before = usage(service.pid).cpuMs
  const out = await load.run({
    port: service.port('main'),
    protocol: 'http1',
    path: '/auth/verify',
    headers: checkHeaders('/plain/1'),
    cookiesFile,
    connections: 16,
    requests: REQUESTS,
    expect: 200,
  })
  seen.perS.push(out.perSecond)
  seen.cpuUs.push(((usage(service.pid).cpuMs - before) * 1000) / out.requests)
  return out.us
}
