import { spawn, type ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process that we started, and end by its id. */
export interface Running {
  readonly pid: number
  readonly child: ChildProcess
  /** The last of what it printed, both streams. */
  output(): string
  /** Resolves with its exit code, or its signal. */
  readonly exited: Promise<string>
  /** SIGTERM, then SIGKILL when it does not go within `graceMs`. */
  stop(graceMs?: number): Promise<void>
}

const KEEP = 64_000

/** Starts a program in a group of its own, so that Ctrl-C reaches only us and we end it in order. */
export function start(
  program: string,
  args: readonly string[],
  o: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly onLine?: (line: string) => void } = {},
): Running {
  const child = spawn(program, [...args], {
    cwd: o.cwd,
    env: o.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let text = ''
  let rest = ''
  const take = (chunk: Buffer): void => {
    text = (text + chunk.toString()).slice(-KEEP)
    if (o.onLine === undefined) return
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) o.onLine(line)
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  const exited = new Promise<string>((resolve) => {
    child.once('error', (e) => resolve(e.message))
    child.once('exit', (code, signal) => resolve(signal ?? String(code)))
  })
  const gone = (): boolean => child.exitCode !== null || child.signalCode !== null || child.pid === undefined
  const signal = (name: NodeJS.Signals): void => {
    if (!gone()) child.kill(name)
  }
  const atExit = (): void => signal('SIGKILL')
  // The last resort: whatever ends this process in order takes its children along.
  process.once('exit', atExit)
  void exited.then(() => process.off('exit', atExit))
  return {
    pid: child.pid ?? -1,
    child,
    output: () => text,
    exited,
    stop: async (graceMs = 8000) => {
      if (gone()) return
      signal('SIGTERM')
      const late = new AbortController()
      await Promise.race([exited, sleep(graceMs, undefined, { signal: late.signal }).catch(() => undefined)])
      late.abort()
      signal('SIGKILL')
      await exited
    },
  }
}

/** Asks until the answer is yes. Throws with `what` when the process ended or the time is over. */
export async function until(
  what: string,
  ask: () => Promise<boolean>,
  o: { readonly running?: Running; readonly timeoutMs?: number } = {},
): Promise<void> {
  const deadline = performance.now() + (o.timeoutMs ?? 30_000)
  let ended: string | undefined
  void o.running?.exited.then((how) => (ended = how))
  for (;;) {
    if (await ask().catch(() => false)) return
    if (ended !== undefined)
      throw new Error(`${what}: it ended (${ended}) and said:\n${o.running?.output().slice(-2000) ?? ''}`)
    if (performance.now() > deadline)
      throw new Error(`${what}: no answer in time. It said:\n${o.running?.output().slice(-2000) ?? ''}`)
    await sleep(25)
  }
}
