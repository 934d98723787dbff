/**
 * `npm run bench -- start [starts]`: from the start of the service to its ready line while the provider is down, with SQLite and with
 * Redis, and the memory then, after a while of nothing, and under load.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { freePort } from '../../demo/launcher/index.ts'
import { median, rounded, usage } from './load/client.ts'
import { goal, report } from './load/goals.ts'
import { checkHeaders, startServiceProcess } from './load/service.ts'
import { inWorld } from './load/world.ts'

const STARTS = Number(process.argv[2] ?? 7)

await inWorld(async (w) => {
  const away = `http://127.0.0.1:${await freePort()}`
  const stores = { SQLite: `sqlite:${join(w.dir, 'start.db')}`, Redis: w.redis.url }
  const ready: Record<string, number[]> = { 'node alone': [], SQLite: [], Redis: [] }
  const cpu: Record<string, number[]> = { SQLite: [], Redis: [] }
  // The first start of all compiles; what it compiled may be kept for the next.
  let first = 0
  for (let i = 0; i <= STARTS; i++)
    for (const [name, store] of Object.entries(stores)) {
      if (name === 'SQLite') ready['node alone']?.push(await nodeAlone())
      const s = await startServiceProcess({ issuer: away, store, settings: (y) => (y['log'] = { level: 'warn' }) })
      if (first === 0) first = s.startedInMs
      if (i > 0) {
        ready[name]?.push(s.startedInMs)
        cpu[name]?.push(usage(s.pid).cpuMs)
      }
      await s.stop()
    }
  const rows = Object.entries(ready).map(([what, ms]) => ({
    what,
    ready_ms: Math.round(median(ms)),
    spread: [Math.round(Math.min(...ms)), Math.round(Math.max(...ms))],
    ...(cpu[what] === undefined ? {} : { cpu_ms: median(cpu[what]) }),
  }))
  console.error('\nfrom the start to the ready line, the provider down')
  for (const r of rows) console.error(`${r.what.padEnd(14)}${r.ready_ms} ms (${r.spread.join('-')})`)
  const memory = await memoryOf()
  console.error(
    `memory: ${Object.entries(memory)
      .map(([k, v]) => `${k} ${v} MB`)
      .join(', ')}`,
  )
  const worst = Math.max(...rows.filter((r) => r.what !== 'node alone').map((r) => r.ready_ms))
  report('start', { first_ms: Math.round(first), rows, rss_mb: memory }, [
    ...goal(
      'start to ready without the provider, SQLite, seconds',
      (rows.find((r) => r.what === 'SQLite')?.ready_ms ?? NaN) / 1000,
      'most',
      0.5,
    ),
    ...goal('start to ready without the provider, the slower store, seconds', worst / 1000, 'most', 0.5),
  ])

  async function memoryOf(): Promise<Record<string, number>> {
    const s = await w.ours()
    const rss = (): number => rounded(usage(s.pid).rssMb, 0)
    const at_ready = rss()
    await sleep(3000)
    const idle = rss()
    const job = {
      port: s.port('main'),
      protocol: 'http1',
      path: '/auth/verify',
      headers: checkHeaders('/orders/1'),
      cookiesFile: await w.signIn(s),
      connections: 64,
      expect: 200,
    } as const
    await w.load.run({ ...job, requests: 30_000 })
    return { at_ready, idle, under_load: rss() }
  }
})

/** What any Node program needs. */
async function nodeAlone(): Promise<number> {
  const began = performance.now()
  const child = spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' })
  await new Promise((resolve) => child.once('exit', resolve))
  return performance.now() - began
}
