/**
 * `npm run bench -- tails [seconds]`: how long checks take at fixed rates, sent when they are due whether or not others were
 * answered: at a quarter and at half of the rate at which ours is saturated, and beside it a server that says yes to all, at
 * the same rates and at half of its own. The goal is of one and the same rate, which is the harder reading for ours.
 *
 * Whoever measures has one core and whoever is measured another: the scheduler otherwise moves them about, and lets one
 * wait behind the other for up to 3 ms, which was most of what there was to see.
 */
import { keepOnCore, median, rounded } from './load/client.ts'
import type { Job, Outcome } from './load/job.ts'
import { goal, report } from './load/goals.ts'
import { checkHeaders } from './load/service.ts'
import { inWorld } from './load/world.ts'

const SECONDS = Number(process.argv[2] ?? 4)
/** Many and short: what else the machine does spoils some, and the median is of the others. The goal's two come each time. */
const ROUNDS = 41
/** The others come in every third round. */
const SELDOM = 3
const ROUND_MS = SECONDS * 250
const CONNECTIONS = 32
const NAMES = ['ours', 'null'] as const

type Name = (typeof NAMES)[number]
type Us = Outcome['us']
interface Row {
  readonly name: Name | 'null, its own'
  readonly of_saturation: number
  readonly per_s: number
  readonly us: Us
  /** How late the generator was, p99: what of the figures may be its own. */
  readonly late_us: number
}

await inWorld(async (w) => {
  const ours = await w.ours()
  const bare = await w.rival('bare')
  const base = {
    protocol: 'http1',
    headers: checkHeaders('/orders/1'),
    cookiesFile: await w.signIn(ours),
    connections: CONNECTIONS,
    expect: 200,
  } as const
  const jobs: Readonly<Record<Name, Omit<Job, 'requests'>>> = {
    ours: { ...base, port: ours.port('main'), path: '/auth/verify' },
    null: { ...base, port: bare.port, path: '/' },
  }
  const apart = keepOnCore(0, w.load.pid) && keepOnCore(1, ours.pid, bare.pid)
  if (!apart) console.error('no core for each: what is measured and who measures are in each other’s way')
  const saturated = async (name: Name): Promise<number> =>
    (await w.load.run({ ...jobs[name], requests: 4000 })).perSecond
  const seen: Record<Name, number[]> = { ours: [], null: [] }
  for (const name of NAMES) await w.load.run({ ...jobs[name], requests: 30_000 })
  for (let i = 0; i < 9; i++) for (const name of NAMES) seen[name].push(await saturated(name))
  const rates = { ours: median(seen.ours), null: median(seen.null) }

  const series: readonly (Pick<Row, 'name' | 'of_saturation'> & { readonly of: Name; readonly rate: number })[] = [
    ...[0.25, 0.5].flatMap((part) =>
      NAMES.map((name) => ({ name, of: name, of_saturation: part, rate: rates.ours * part })),
    ),
    { name: 'null, its own', of: 'null', of_saturation: 0.5, rate: rates.null * 0.5 },
  ]
  const outcomes: Outcome[][] = series.map(() => [])
  for (let round = 0; round < ROUNDS; round++)
    for (let k = 0; k < series.length; k++) {
      const i = (round + k) % series.length
      const s = series[i]
      const isOfGoal = s?.of_saturation === 0.5 && s.name !== 'null, its own'
      if (s === undefined || (!isOfGoal && round % SELDOM > 0)) continue
      outcomes[i]?.push(await w.load.run({ ...jobs[s.of], rate: s.rate, durationMs: ROUND_MS }))
    }
  const rows = series.map((s, i): Row => ({
    name: s.name,
    of_saturation: s.of_saturation,
    per_s: Math.round(s.rate),
    ...medians(outcomes[i] ?? []),
  }))
  print(rates, rows)
  const p99 = (name: Row['name']): number => rows.find((r) => r.name === name && r.of_saturation === 0.5)?.us.p99 ?? NaN
  const own = rounded(p99('ours') / p99('null, its own'))
  console.error(`p99 with each at half of its own saturation rate, which is no goal: ours / null server ${own}`)
  report(
    'tails',
    {
      core_each: apart,
      saturated_per_s: rates.ours,
      null_saturated_per_s: rates.null,
      rows,
      p99_each_at_half_of_its_own: own,
    },
    goal('p99 at half the saturation rate: ours / null server', p99('ours') / p99('null'), 'most', 2),
  )
})

function medians(all: readonly Outcome[]): Pick<Row, 'us' | 'late_us'> {
  const of = (q: keyof Us): number => median(all.map((o) => o.us[q]))
  return {
    us: { p50: of('p50'), p99: of('p99'), p999: of('p999'), max: of('max') },
    late_us: median(all.map((o) => o.lateUs.p99)),
  }
}

function print(saturated: Readonly<Record<Name, number>>, rows: readonly Row[]): void {
  console.error(
    `\nchecks at a fixed rate, HTTP/1.1, ${CONNECTIONS} connections; ours is saturated at ${saturated.ours} a second, null at ${saturated.null}`,
  )
  console.error(
    `${'what'.padEnd(22)}${'per s'.padStart(8)}${'p50 µs'.padStart(9)}${'p99 µs'.padStart(9)}${'p99.9 µs'.padStart(10)}${'sent late, p99'.padStart(16)}`,
  )
  for (const r of rows)
    console.error(
      `${r.name}, ${r.of_saturation * 100} %`.padEnd(22) +
        String(r.per_s).padStart(8) +
        String(r.us.p50).padStart(9) +
        String(r.us.p99).padStart(9) +
        String(r.us.p999).padStart(10) +
        String(r.late_us).padStart(16),
    )
}
