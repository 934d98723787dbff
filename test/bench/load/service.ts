import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../../../demo/launcher/index.ts'
import { Client } from '../../support/client.ts'
import { PUBLIC_HOST, startProviderFor, writeConfig, type ServiceOptions } from '../../support/service.ts'

export { signIn } from '../../support/service.ts'

/** The service as an operator runs it (`npm start`): in a process of its own, its log in a file. */
export interface ServiceProcess {
  readonly pid: number
  readonly dir: string
  /** By listener's name. */
  readonly port: (name: string) => number
  readonly client: () => Client
  readonly startedInMs: number
  stop(): Promise<void>
}

const ROOT = join(import.meta.dirname, '..', '..', '..')

export async function startServiceProcess(
  o: Pick<ServiceOptions, 'settings' | 'routes' | 'store'> & {
    readonly issuer: string
    readonly nodeArgs?: readonly string[]
    readonly env?: Readonly<Record<string, string>>
  },
): Promise<ServiceProcess> {
  const dir = mkdtempSync(join(tmpdir(), 'bff-bench-'))
  writeConfig(dir, o.issuer, {
    ...o,
    settings: (s) => {
      // A machine that is busy with measuring is not a store that stalls.
      s.session['stall_timeout'] = '30s'
      o.settings?.(s)
    },
  })
  const log = join(dir, 'log')
  const out = openSync(log, 'a')
  const began = performance.now()
  const child = spawn(process.execPath, [...(o.nodeArgs ?? []), 'bin/traefik-bff.js', 'serve', '--config', dir], {
    cwd: ROOT,
    stdio: ['ignore', out, out],
    env: { ...process.env, ...o.env },
  })
  closeSync(out)
  const state = { ended: false }
  const exited = new Promise<void>((resolve) =>
    child.once('exit', () => {
      state.ended = true
      resolve()
    }),
  )
  const said = (): string => readFileSync(log, 'utf8')
  let listeners: readonly string[] = []
  let startedInMs = 0
  await until('the service', async () => {
    if (state.ended) return true
    const line = said()
      .split('\n')
      .find((l) => l.includes('traefik-bff ready'))
    if (line === undefined) return false
    startedInMs = performance.now() - began
    listeners = (JSON.parse(line) as { listeners: string[] }).listeners
    return true
  }).catch((e: unknown) => {
    child.kill('SIGKILL')
    throw e
  })
  if (state.ended) throw new Error(`the service did not start:\n${said()}`)
  const port = (name: string): number =>
    Number(/:(\d+)$/.exec(listeners.find((l) => l.startsWith(`${name}=`)) ?? '')?.[1] ?? 0)
  return {
    pid: child.pid ?? -1,
    dir,
    port,
    client: () => new Client(`http://127.0.0.1:${port('main')}`, PUBLIC_HOST),
    startedInMs,
    stop: async () => {
      if (!state.ended) child.kill('SIGTERM')
      await exited
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

export { startProviderFor }

/** What Traefik sends with a check, as a browser's fetch makes it: the lines that a real one has. */
export function checkHeaders(uri: string, host = '127.0.0.1'): Record<string, string> {
  return {
    host,
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    accept: 'application/json',
    'accept-encoding': 'gzip, deflate, br',
    'accept-language': 'en-US,en;q=0.5',
    'sec-fetch-dest': 'empty',
    'sec-fetch-mode': 'cors',
    'sec-fetch-site': 'same-origin',
    'x-forwarded-for': '203.0.113.7',
    'x-forwarded-host': PUBLIC_HOST,
    'x-forwarded-method': 'GET',
    'x-forwarded-port': '8000',
    'x-forwarded-proto': 'http',
    'x-forwarded-uri': uri,
  }
}
