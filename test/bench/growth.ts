/**
 * `npm run bench -- growth [most]`: what a session costs in Valkey, and whether a check costs more where there are more of
 * them: 1 thousand, 100 thousand, 1 million (or up to `most`). The sessions are written by the product's own store. Beside
 * the growing store stands one that keeps 1,000: rounds alternate between both, so that a busy machine slows both alike.
 *
 * For each size both services are started anew, several times, and warmed alike, so that the store is all that they
 * differ in: a process that has lived through more is compiled for more, and two starts of one program differ by a tenth.
 */
import { join } from 'node:path'
import { createClient } from 'redis'
import { loadConfig } from '../../config/load.ts'
import { startRedis, type Redis } from '../../demo/launcher/index.ts'
import { rounded, usage } from './load/client.ts'
import { compare, together, type Contender, type Figures } from './load/compare.ts'
import { goal, report } from './load/goals.ts'
import { openSeeder, type Kind } from './load/seed.ts'
import { checkHeaders, type ServiceProcess } from './load/service.ts'
import { inWorld, type World } from './load/world.ts'

const most = Number(process.argv[2] ?? 1_000_000)
const SIZES = [1000, 100_000, 1_000_000].filter((n) => n <= most)
const STARTS = 3
/** Short rounds, many of them: what else the machine does comes and goes in a second, and hits both alike. */
const REQUESTS = 3000
/** Of each start. */
const SIDE_BY_SIDE = { rounds: 41, requests: REQUESTS, warmUp: 144_000 }
/** After the last one: of all sessions at random, and side by side once more. */
const SPREAD = { rounds: 24, requests: REQUESTS, warmUp: REQUESTS }
const AFTER = { rounds: 24, requests: REQUESTS, warmUp: 12_000 }

/** A store and its sessions. */
interface Site {
  readonly redis: Redis
  readonly memory: () => Promise<number>
  readonly seed: (count: number, kind: Kind, file: string) => Promise<void>
  /** Cookies of 1,000 sessions. */
  readonly warm: string
}

await inWorld(async (w) => {
  const [beside, growing] = [await openSite(w, 'beside'), await openSite(w, 'growing')]
  const realistic = await bytesEach(beside, 'realistic', 5000, join(w.dir, 'realistic'))
  const start = await growing.memory()
  await beside.seed(1000, 'minimal', beside.warm)
  await growing.seed(1000, 'minimal', growing.warm)
  const all = join(w.dir, 'all')
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
      ...(await measure(w, growing, beside, size === 1000 ? growing.warm : all)),
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
})

async function openSite(w: World, name: string): Promise<Site> {
  const redis = await startRedis()
  w.defer(() => redis.stop())
  // The keys that sessions are sealed with are those of every service here, so one that is ended gives the config of all.
  const service = await w.ours({ store: redis.url })
  const loaded = loadConfig(service.dir, {})
  await service.stop()
  if (!loaded.ok) throw new Error('the config of the bench does not load')
  const seeder = openSeeder(loaded.settings, w.provider.issuer, redis)
  await seeder.compare()
  const admin = createClient({ url: redis.url })
  await admin.connect()
  w.defer(() => admin.destroy())
  return {
    redis,
    memory: async () => Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1]),
    seed: (...a) => seeder.add(...a),
    warm: join(w.dir, name),
  }
}

async function bytesEach(site: Site, kind: Kind, count: number, file: string): Promise<number> {
  const before = await site.memory()
  await site.seed(count, kind, file)
  return Math.round(((await site.memory()) - before) / count)
}

/** A fixed warm set of 1,000 in the store that grows against the same in the small one; then those of `all`, at random. */
async function measure(w: World, growing: Site, beside: Site, all: string) {
  const seen: Figures[] = []
  let rssMb = 0
  for (let start = 1; start <= STARTS; start++) {
    const [a, b] = [await w.ours({ store: growing.redis.url }), await w.ours({ store: beside.redis.url })]
    const sideBySide = (when: string): Contender[] => [
      contender(`warm${when}`, a, growing.warm),
      contender(`beside${when}`, b, beside.warm),
    ]
    seen.push(...(await compare(w.load, sideBySide(''), SIDE_BY_SIDE)))
    if (start === STARTS) {
      seen.push(...(await compare(w.load, [contender('spread', a, all)], SPREAD)))
      rssMb = usage(a.pid).rssMb
      seen.push(...(await compare(w.load, sideBySide(' after'), AFTER)))
    }
    await a.stop()
    await b.stop()
  }
  const of = (name: string): Figures =>
    together(
      name,
      seen.filter((f) => f.name === name),
    )
  const [warm, other, spread] = [of('warm'), of('beside'), of('spread')]
  return {
    warm_over_warm_of_1000: rounded(warm.per_s / other.per_s),
    warm_per_s: warm.per_s,
    warm_cpu_us: warm.cpu_us,
    beside_cpu_us: other.cpu_us,
    spread_per_s: spread.per_s,
    spread_cpu_us: spread.cpu_us,
    spread_us: { p50: spread.p50_us, p99: spread.p99_us },
    warm_after_spread_cpu_us: of('warm after').cpu_us,
    beside_then_cpu_us: of('beside after').cpu_us,
    service_rss_mb: Math.round(rssMb),
    store_rss_mb: Math.round(usage(growing.redis.pid).rssMb),
  }
}

function contender(name: string, service: ServiceProcess, cookiesFile: string): Contender {
  return {
    name,
    pids: [service.pid],
    job: {
      port: service.port('main'),
      protocol: 'http1',
      path: '/auth/verify',
      headers: checkHeaders('/plain/1'),
      cookiesFile,
      connections: 16,
      expect: 200,
    },
  }
}
