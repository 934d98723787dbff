/**
 * `npm run bench -- tails [seconds]`: how long checks take at fixed rates, sent when they are due whether or not others were
 * answered: at a quarter and at half of the rate at which ours is saturated, and beside it a server that says yes to all.
 */
import { median } from './load/client.ts'
import type { Job, Outcome } from './load/job.ts'
import { goal, report } from './load/goals.ts'
import { checkHeaders } from './load/service.ts'
import { inWorld } from './load/world.ts'

const SECONDS = Number(process.argv[2] ?? 4)
const ROUNDS = 9
const CONNECTIONS = 32

type Us = Outcome['us']
interface Row {
  readonly name: string
  readonly of_saturation: number
  readonly per_s: number
  readonly us: Us
}

await inWorld(async (w) => {
  const ours = await w.ours()
  const bare = await w.rival('bare')
  const base = { protocol: 'http1', headers: checkHeaders('/orders/1'), connections: CONNECTIONS, expect: 200 } as const
  const jobs: Readonly<Record<'ours' | 'null', Omit<Job, 'requests'>>> = {
    ours: { ...base, port: ours.port('main'), path: '/auth/verify', cookiesFile: await w.signIn(ours) },
    null: { ...base, port: bare.port, path: '/', cookiesFile: w.cookies('other', 'a=b') },
  }
  const saturated: number[] = []
  for (const job of Object.values(jobs)) await w.load.run({ ...job, requests: 30_000 })
  for (let i = 0; i < ROUNDS; i++) saturated.push((await w.load.run({ ...jobs.ours, requests: 4000 })).perSecond)
  const rate = median(saturated)
  const rows: Row[] = []
  for (const part of [0.25, 0.5]) {
    const seen: Record<'ours' | 'null', Us[]> = { ours: [], null: [] }
    for (let round = 0; round < ROUNDS; round++)
      for (const name of round % 2 === 0 ? (['ours', 'null'] as const) : (['null', 'ours'] as const)) {
        const out = await w.load.run({ ...jobs[name], rate: rate * part, durationMs: (SECONDS * 1000) / 2 })
        seen[name].push(out.us)
      }
    for (const name of ['ours', 'null'] as const)
      rows.push({ name, of_saturation: part, per_s: Math.round(rate * part), us: medians(seen[name]) })
  }
  print(rate, rows)
  const p99 = (name: string): number => rows.find((r) => r.name === name && r.of_saturation === 0.5)?.us.p99 ?? NaN
  report(
    'tails',
    { saturated_per_s: rate, rows },
    goal('p99 at half the saturation rate: ours / null server', p99('ours') / p99('null'), 'most', 2),
  )
})

function medians(all: readonly Us[]): Us {
  const of = (q: keyof Us): number => median(all.map((us) => us[q]))
  return { p50: of('p50'), p99: of('p99'), p999: of('p999'), max: of('max') }
}

function print(rate: number, rows: readonly Row[]): void {
  console.error(`\nchecks at a fixed rate, HTTP/1.1, ${CONNECTIONS} connections; ours is saturated at ${rate} a second`)
  console.error(
    `${'what'.padEnd(20)}${'per s'.padStart(8)}${'p50 µs'.padStart(9)}${'p99 µs'.padStart(9)}${'p99.9 µs'.padStart(10)}`,
  )
  for (const r of rows)
    console.error(
      `${r.name}, ${r.of_saturation * 100} %`.padEnd(20) +
        String(r.per_s).padStart(8) +
        String(r.us.p50).padStart(9) +
        String(r.us.p99).padStart(9) +
        String(r.us.p999).padStart(10),
    )
}
