import { median, rounded, usage, type Generator } from './client.ts'
import type { Job } from './job.ts'

export interface Contender {
  readonly name: string
  readonly job: Omit<Job, 'requests' | 'durationMs'>
  /** Processes whose processor time counts. */
  readonly pids: readonly number[]
  /** A gateway in front, whose own time is told apart. */
  readonly gateway?: number
}

export interface Figures {
  readonly name: string
  /** Median of the rounds, and the lowest and highest. */
  readonly per_s: number
  readonly spread: readonly [number, number]
  /** Processor time a request, of the measured processes alone. */
  readonly cpu_us: number
  readonly gateway_cpu_us?: number
  readonly p50_us: number
  readonly p99_us: number
}

export interface CompareOptions {
  readonly rounds: number
  /** Requests of each contender in each round. */
  readonly requests: number
  /** Before the first round, so that compilers are done. */
  readonly warmUp: number
}

/** Contenders take turns, in another order each round, so that what else the machine does hits all alike; medians count. */
export async function compare(
  load: Generator,
  contenders: readonly Contender[],
  o: CompareOptions,
): Promise<readonly Figures[]> {
  const seen = new Map(
    contenders.map((c) => [
      c.name,
      {
        perS: [] as number[],
        cpu: [] as number[],
        gateway: [] as number[],
        p50: [] as number[],
        p99: [] as number[],
      },
    ]),
  )
  for (const c of contenders) await load.run({ ...c.job, requests: o.warmUp })
  for (let round = 0; round < o.rounds; round++) {
    const turn = round % contenders.length
    for (const c of [...contenders.slice(turn), ...contenders.slice(0, turn)]) {
      const cpu = (): number => c.pids.reduce((sum, pid) => sum + usage(pid).cpuMs, 0)
      const gateway = (): number => (c.gateway === undefined ? 0 : usage(c.gateway).cpuMs)
      const [before, gatewayBefore] = [cpu(), gateway()]
      const out = await load.run({ ...c.job, requests: o.requests })
      const of = seen.get(c.name)
      of?.perS.push(out.perSecond)
      of?.cpu.push(((cpu() - before) * 1000) / out.requests)
      if (c.gateway !== undefined) of?.gateway.push(((gateway() - gatewayBefore) * 1000) / out.requests)
      of?.p50.push(out.us.p50)
      of?.p99.push(out.us.p99)
    }
  }
  return [...seen].map(([name, s]) => ({
    name,
    per_s: median(s.perS),
    spread: [Math.min(...s.perS), Math.max(...s.perS)],
    cpu_us: rounded(median(s.cpu), 1),
    ...(s.gateway.length === 0 ? {} : { gateway_cpu_us: rounded(median(s.gateway), 1) }),
    p50_us: median(s.p50),
    p99_us: median(s.p99),
  }))
}

/** Several processes of one config as one: medians of theirs. */
export function together(name: string, of: readonly Figures[]): Figures {
  const middle = (pick: (f: Figures) => number): number => median(of.map(pick))
  return {
    name,
    per_s: middle((f) => f.per_s),
    spread: [Math.min(...of.map((f) => f.spread[0])), Math.max(...of.map((f) => f.spread[1]))],
    cpu_us: middle((f) => f.cpu_us),
    p50_us: middle((f) => f.p50_us),
    p99_us: middle((f) => f.p99_us),
  }
}

/** `a` over `b`: by rate as it was, and by what a request costs, which a busy machine distorts less. */
export function ratio(
  all: readonly Figures[],
  a: string,
  b: string,
): { readonly per_s: number; readonly cpu: number } | undefined {
  const [x, y] = [all.find((f) => f.name === a), all.find((f) => f.name === b)]
  return x === undefined || y === undefined
    ? undefined
    : { per_s: rounded(x.per_s / y.per_s), cpu: rounded(y.cpu_us / x.cpu_us) }
}

/** The table that a person reads; JSON goes to standard output. */
export function printTable(title: string, all: readonly Figures[]): void {
  console.error(`\n${title}`)
  const gateway = all.some((f) => f.gateway_cpu_us !== undefined)
  console.error(
    `${'what'.padEnd(34)}${'per s'.padStart(8)}${'lowest-highest'.padStart(17)}${'CPU µs'.padStart(9)}${gateway ? 'gateway'.padStart(9) : ''}${'p50 µs'.padStart(9)}${'p99 µs'.padStart(9)}`,
  )
  for (const f of all)
    console.error(
      f.name.padEnd(34) +
        String(f.per_s).padStart(8) +
        `${f.spread[0]}-${f.spread[1]}`.padStart(17) +
        String(f.cpu_us).padStart(9) +
        (gateway ? String(f.gateway_cpu_us ?? '').padStart(9) : '') +
        String(f.p50_us).padStart(9) +
        String(f.p99_us).padStart(9),
    )
}
