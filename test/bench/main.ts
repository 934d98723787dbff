/**
 * `npm run bench`: every bench, one after another; docs/bench.json and docs/bench.svg are made of it. `npm run bench -- <what>`
 * runs one, `-- --quick` the few ratios that are stable anywhere. Tables go to standard error, JSON to standard output.
 */
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { chart, type Results } from './load/chart.ts'
import { printFields, printGoals, type Goal } from './load/goals.ts'

interface Bench {
  readonly says: string
  /** Of a run of all of them; none: it is left out there. */
  readonly args?: readonly string[]
  /** Of `--short`: whether everything runs, in a few minutes. Its figures are worth little. */
  readonly short?: readonly string[]
}

/** In the order of a whole run: what a busy machine spoils most comes first. */
const BENCHES: Readonly<Record<string, Bench>> = {
  steps: { says: 'processor time and bytes of one warm check, without a network [loops]', args: [], short: ['500'] },
  verify: {
    says: 'our verify against node:http, Express + express-session, oauth2-proxy [rounds]',
    args: [],
    short: ['2'],
  },
  traefik: {
    says: 'through a real Traefik: our check, a null server, oauth2-proxy, no check [rounds] [connections]',
    args: [],
    short: ['1', '32'],
  },
  proxy: {
    says: 'our proxy mode against http-proxy alone and nginx, and what each part costs [rounds] [requests]',
    args: [],
    short: ['2', '1000'],
  },
  tails: { says: 'p50, p99 and p99.9 at fixed rates, beside a null server [seconds]', args: [], short: ['1'] },
  routes: { says: 'a check among 10, 1,000 and 10,000 routes [rounds]', args: [], short: ['2'] },
  start: { says: 'from the start to ready, and memory [starts]', args: [], short: ['2'] },
  revocation: { says: 'how soon a sign-out counts everywhere [rounds]', args: ['100'], short: ['10'] },
  refresh: { says: 'what an expired token costs', args: [], short: [] },
  websockets: { says: 'memory of idle WebSockets [count]', args: ['5000'], short: ['500'] },
  'login-flood': { says: 'what sign-ins that nobody finishes leave behind [starts]', args: ['20000'], short: ['1000'] },
  growth: {
    says: 'bytes a session, and a check among 1,000, 100,000, 1,000,000 of them [most]',
    args: [],
    short: ['1000'],
  },
  quick: { says: 'the same as --quick' },
  chart: { says: 'docs/bench.svg again, from docs/bench.json' },
}

/** None takes half as long; one that hangs is a failure, and stops nothing else. */
const LONGEST_MS = 15 * 60_000
const DOCS = join(import.meta.dirname, '..', '..', 'docs')
const [what, ...rest] = process.argv.slice(2)

if (what === undefined || what === '--short') process.exit(await all(what === '--short'))
else if (what === 'chart') draw(JSON.parse(readFileSync(join(DOCS, 'bench.json'), 'utf8')) as Results)
else if (what === '--quick') process.exit((await run('quick', rest, false)).code)
else if (what in BENCHES) process.exit((await run(what, rest, false)).code)
else {
  console.error(
    `npm run bench [-- --quick | --short | <what>]:\n${Object.entries(BENCHES)
      .map(([k, { says }]) => `  ${k.padEnd(14)}${says}\n`)
      .join('')}`,
  )
  process.exit(2)
}

/** One that fails is said and left out; the others go on. */
async function all(short: boolean): Promise<number> {
  const began = performance.now()
  const results: Record<string, unknown> = {}
  const failed: string[] = []
  for (const [name, bench] of Object.entries(BENCHES)) {
    const args = short ? bench.short : bench.args
    if (args === undefined) continue
    console.error(`\n── ${name}  (${minutes(began)} min so far)`)
    const { code, said } = await run(name, args, true)
    if (code === 0 && said !== undefined) {
      results[name] = said
      if (!(said as { readonly goals?: unknown }).goals) printFields(said)
    } else failed.push(name)
  }
  const goals = Object.values(results).flatMap((r) => (r as { readonly goals?: readonly Goal[] }).goals ?? [])
  const done: Results = { date: new Date().toISOString().slice(0, 10), machine: machine(), results, goals }
  writeFileSync(join(DOCS, 'bench.json'), `${JSON.stringify(done, undefined, 1)}\n`)
  draw(done)
  console.error(`\n── all, in ${minutes(began)} min: docs/bench.json, docs/bench.svg`)
  printGoals(goals)
  if (failed.length > 0) console.error(`failed: ${failed.join(', ')}`)
  console.log(JSON.stringify(done))
  return failed.length > 0 ? 1 : 0
}

function draw(r: Results): void {
  writeFileSync(join(DOCS, 'bench.svg'), chart(r))
}

/** The last line that it prints is its JSON; whatever else libraries print there is no figure. */
async function run(
  name: string,
  args: readonly string[],
  take: boolean,
): Promise<{ readonly code: number; readonly said?: unknown }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, `${name}.ts`), ...args], {
    stdio: ['inherit', take ? 'pipe' : 'inherit', 'inherit'],
    timeout: LONGEST_MS,
  })
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const code = await new Promise<number>((resolve) => child.once('close', (c) => resolve(c ?? 1)))
  const last = text.trim().split('\n').at(-1)
  return take && code === 0 && last !== undefined ? { code, said: JSON.parse(last) as unknown } : { code }
}

function minutes(since: number): string {
  return ((performance.now() - since) / 60_000).toFixed(1)
}

function machine(): string {
  const all = cpus()
  return `${all.length} × ${all[0]?.model.trim() ?? 'unknown processor'}, Node ${process.version}`
}
