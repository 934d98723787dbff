import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../config/load.ts'
import type { Finding, LoadResult, Settings } from '../../config/types.ts'

export const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8')

/** What has to be there, for tests about something else. Each part can be replaced. */
export const MINIMUM = {
  server: 'server: { public_url: "https://app.example.com", trusted_proxies: [127.0.0.1/32] }\n',
  auth: 'auth: { issuer: "https://idp.example.com", client_id: bff-server, client_secret: a-client-secret }\n',
  session: 'session: { secret: "0123456789abcdefghijklmnopqrstuv" }\n',
}
export const minimum = (o: Partial<typeof MINIMUM> = {}): string => Object.values({ ...MINIMUM, ...o }).join('')

export interface Files {
  readonly settings?: string
  readonly routes?: string
  readonly env?: NodeJS.ProcessEnv
  /** More files, by name. */
  readonly more?: Readonly<Record<string, string>>
}

/** Runs `use` with a directory that holds these files and `tls/`, and removes it. */
export function inDir<T>(files: Files, use: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'bff-config-'))
  try {
    cpSync(new URL('fixtures/tls', import.meta.url), join(dir, 'tls'), { recursive: true })
    if (files.settings !== undefined) writeFileSync(join(dir, 'settings.yaml'), files.settings)
    if (files.routes !== undefined) writeFileSync(join(dir, 'routes.yaml'), files.routes)
    for (const [name, text] of Object.entries(files.more ?? {})) writeFileSync(join(dir, name), text)
    return use(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Findings name their file without the directory, which is another one each time. */
export function load(files: Files): LoadResult {
  return inDir({ settings: minimum(), routes: 'routes: []\n', ...files }, (dir) => {
    const short = (f: Finding): Finding => ({ ...f, file: f.file.slice(dir.length + 1) })
    const got = loadConfig(dir, files.env ?? {})
    const warnings = got.warnings.map(short)
    return got.ok ? { ...got, warnings } : { ...got, warnings, faults: got.faults.map(short) }
  })
}

/** Settings of a config that must be without fault. */
export function loaded(files: Files): Settings {
  const got = load(files)
  if (!got.ok) throw new Error(got.faults.map((f) => `${f.file}:${f.line}: ${f.code} ${f.message}`).join('\n'))
  return got.settings
}

/** `settings.yaml:3 CODE` of each finding, which is what a test compares. */
export const brief = (findings: readonly Finding[]): string[] => findings.map((f) => `${f.file}:${f.line} ${f.code}`)

export function faults(files: Files): string[] {
  const got = load(files)
  return got.ok ? [] : brief(got.faults)
}

export const warnings = (files: Files): string[] => brief(load(files).warnings)
