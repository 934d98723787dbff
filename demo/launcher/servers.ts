import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findRedis, findTraefik } from './find.ts'
import { answers, freePort } from './port.ts'
import { start, until, type Running } from './process.ts'

export interface Traefik extends Running {
  /** Rewrites a dynamic file; Traefik watches the folder. */
  write(name: string, yaml: string): Promise<void>
}

/** A real Traefik, with its static YAML and a watched folder of dynamic ones. `{dynamic}` in the static text is that folder. */
export async function startTraefik(o: {
  readonly static: string
  readonly dynamic: Readonly<Record<string, string>>
  readonly port: number
  readonly onLine?: (line: string) => void
}): Promise<Traefik> {
  const program = await findTraefik()
  const dir = await mkdtemp(join(tmpdir(), 'bff-traefik-'))
  const write = (name: string, yaml: string): Promise<void> => writeFile(join(dir, 'dynamic', name), yaml)
  const { mkdir } = await import('node:fs/promises')
  await mkdir(join(dir, 'dynamic'))
  for (const [name, yaml] of Object.entries(o.dynamic)) await write(name, yaml)
  await writeFile(join(dir, 'static.yaml'), o.static.replaceAll('{dynamic}', join(dir, 'dynamic')))
  const running = start(program, [`--configFile=${join(dir, 'static.yaml')}`], {
    cwd: dir,
    ...(o.onLine === undefined ? {} : { onLine: o.onLine }),
  })
  try {
    await until('Traefik', () => answers(o.port), { running })
  } catch (e) {
    await running.stop()
    await rm(dir, { recursive: true, force: true })
    throw e
  }
  return {
    ...running,
    write,
    stop: async () => {
      await running.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

export interface Redis extends Running {
  readonly port: number
  readonly url: string
  readonly dir: string
}

/** A real Redis or Valkey on loopback, without persistence unless `args` ask for it. */
export async function startRedis(
  o: { readonly args?: readonly string[]; readonly port?: number; readonly dir?: string } = {},
): Promise<Redis> {
  const program = await findRedis()
  const port = o.port ?? (await freePort())
  const dir = o.dir ?? (await mkdtemp(join(tmpdir(), 'bff-redis-')))
  const running = start(program, [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    dir,
    '--save',
    '',
    '--appendonly',
    'no',
    '--maxmemory-policy',
    'noeviction',
    ...(o.args ?? []),
  ])
  const stop = async (): Promise<void> => {
    await running.stop()
    if (o.dir === undefined) await rm(dir, { recursive: true, force: true })
  }
  try {
    await until('Redis', async () => /[Rr]eady to accept connections/.test(running.output()), { running })
  } catch (e) {
    await stop()
    throw e
  }
  return { ...running, port, dir, url: `redis://127.0.0.1:${port}`, stop }
}
