import { fork, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Job, Outcome } from './job.ts'

export interface Generator {
  readonly pid: number
  /** One job at a time. Throws where answers were not the expected ones: a fast error is no figure. */
  run(job: Job): Promise<Outcome>
  stop(): void
}

/**
 * One thread, and a nursery that is small, so that a collection stops it for 0.15 ms in place of one. V8's collector and
 * compilers otherwise have helpers in other threads, which take the core from what is measured, and the more so the longer
 * its answers are.
 */
const ALONE = ['--single-threaded', '--min-semi-space-size=1', '--max-semi-space-size=1']

export function startGenerator(): Generator {
  const child = fork(join(import.meta.dirname, 'generator.ts'), {
    execArgv: ALONE,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  return {
    pid: child.pid ?? -1,
    run: async (job) => {
      const answer = await new Promise<Outcome | { readonly error: string }>((resolve, reject) => {
        child.once('message', (m) => resolve(m as Outcome))
        child.once('exit', () => reject(new Error('the load generator ended')))
        child.send(job)
      })
      child.removeAllListeners('exit')
      if ('error' in answer) throw new Error(answer.error)
      if (answer.bad > 0 || answer.requests === 0)
        throw new Error(`${answer.bad} of ${answer.requests} answers were wrong, first:\n${answer.sample ?? ''}`)
      return answer
    },
    stop: () => child.kill(),
  }
}

/**
 * Processor time of a process so far, in ms (user and system), and what it has resident, in MB. Linux only; else zeros. The
 * time is the scheduler's own, thread by thread, where the kernel keeps it: that of `/proc/PID/stat` is guessed from who runs
 * at each tick of 10 ms.
 */
export function usage(pid: number): { readonly cpuMs: number; readonly rssMb: number } {
  try {
    const rssPages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
    return { cpuMs: scheduledMs(pid) ?? tickedMs(pid), rssMb: (rssPages * 4096) / 1048576 }
  } catch {
    return { cpuMs: 0, rssMb: 0 }
  }
}

function scheduledMs(pid: number): number | undefined {
  let ns = 0
  for (const thread of readdirSync(`/proc/${pid}/task`))
    try {
      ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
    } catch {
      // It ended meanwhile, or the kernel keeps none.
    }
  return ns > 0 ? ns / 1e6 : undefined
}

function tickedMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/**
 * Keeps all threads of processes on one core (`taskset` of util-linux), so that who measures and who is measured are in
 * nobody's way. False where the machine has no such core, or no such program.
 */
export function keepOnCore(core: number, ...pids: readonly number[]): boolean {
  return (
    core < availableParallelism() &&
    pids.every((pid) => spawnSync('taskset', ['-apc', String(core), String(pid)]).status === 0)
  )
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

export function rounded(n: number, digits = 2): number {
  return Math.round(n * 10 ** digits) / 10 ** digits
}

export interface Rival {
  readonly pid: number
  readonly port: number
  stop(): void
}

/** One of rivals.ts, in a process of its own. */
export async function startRival(...args: readonly string[]): Promise<Rival> {
  const child = fork(join(import.meta.dirname, 'rivals.ts'), [...args])
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (m) => resolve(m as number))
    child.once('exit', (code) => reject(new Error(`${args[0] ?? ''} ended with ${code ?? 'a signal'}`)))
  })
  return { pid: child.pid ?? -1, port, stop: () => child.kill() }
}
