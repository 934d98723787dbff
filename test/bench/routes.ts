/**
 * `npm run bench -- routes [rounds]`: whether a check costs more among 1,000 and 10,000 routes than among 10: a service each, the
 * same warm session and token, in turn. Two processes of one config differ by a fifth here, by where their code happens to
 * lie, so there are three of each, and the medians count. And what so many routes cost in memory and at the start.
 */
import { compare, printTable, ratio, together, type Contender } from './load/compare.ts'
import { usage } from './load/client.ts'
import { goal, report } from './load/goals.ts'
import { checkHeaders } from './load/service.ts'
import { inWorld } from './load/world.ts'

const ROUNDS = Number(process.argv[2] ?? 41)
const COUNTS = [10, 1000, 10_000]
const OF_EACH = 3

await inWorld(async (w) => {
  const contenders: Contender[] = []
  const sizes: object[] = []
  for (const count of Array.from({ length: OF_EACH }, () => COUNTS).flat()) {
    const s = await w.ours({
      routes: (r) => {
        for (let i = r.routes.length; i < count; i++)
          r.routes.push({
            id: `more-${i}`,
            path: i % 3 === 0 ? `/more/${i % 97}/${i}` : `/more/${i % 97}/${i}/*`,
            ...(i % 2 === 0 ? { target_service: 'orders' } : {}),
            ...(i % 5 === 0 ? { methods: ['GET', 'POST'] } : {}),
          })
      },
    })
    sizes.push({ routes: count, ready_ms: Math.round(s.startedInMs), rss_mb: Math.round(usage(s.pid).rssMb) })
    contenders.push({
      name: `${name(count)}, ${contenders.length}`,
      pids: [s.pid],
      job: {
        port: s.port('main'),
        protocol: 'http1',
        path: '/auth/verify',
        headers: checkHeaders('/orders/1'),
        cookiesFile: await w.signIn(s),
        connections: 16,
        expect: 200,
      },
    })
  }
  const all = await compare(w.load, contenders, { rounds: ROUNDS, requests: 2000, warmUp: 60_000 })
  const figures = COUNTS.map((count) =>
    together(
      name(count),
      all.filter((f) => f.name.startsWith(`${name(count)},`)),
    ),
  )
  printTable('checks among so many routes, HTTP/1.1, 16 connections', figures)
  report('routes', { sizes, figures }, [
    ...goal(
      'routes: a check among 10,000 / among 10, processor time',
      1 / (ratio(figures, name(10_000), name(10))?.cpu ?? NaN),
      'most',
      1.1,
    ),
  ])
})

function name(count: number): string {
  return `${count.toLocaleString('en')} routes`
}
