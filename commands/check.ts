import { readFileSync } from 'node:fs'
import { formatFinding, loadConfig } from '../config/load.ts'
import type { Finding } from '../config/types.ts'
import { checkTraefik, type NamedText } from '../traefik/check/check.ts'

/**
 * `traefik-bff check`: every fault at once, each with its place and how to mend it, then how many there are.
 *
 * @param print takes one line or finding at a time, without a line break at the end.
 * @param traefik Traefik's files, judged beside our config where that could be read.
 * @returns the exit code: 0 no fault, 1 faults, 2 there is no settings.yaml to judge, or one of Traefik's files cannot be read.
 */
export function checkConfig(
  dir: string,
  env: NodeJS.ProcessEnv,
  print: (text: string) => void,
  traefik: readonly string[] = [],
): number {
  const files: NamedText[] = []
  for (const name of traefik) {
    const text = read(name)
    if (text === undefined) {
      print(`${name}:1: FILE_UNREADABLE there is no such file, or it cannot be read`)
      return 2
    }
    files.push({ name, text })
  }
  const got = loadConfig(dir, env)
  const others = got.ok ? checkTraefik(got.settings, files) : []
  const of = (severity: Finding['severity']): Finding[] => others.filter((f) => f.severity === severity)
  const faults = [...(got.ok ? [] : got.faults), ...of('fault')]
  const warnings = [...got.warnings, ...of('warning')]
  for (const f of [...faults, ...warnings]) print(formatFinding(f))
  if (!got.ok && got.unreadable) return 2
  print(`${counted(faults.length, 'fault')}, ${counted(warnings.length, 'warning')}`)
  return faults.length > 0 ? 1 : 0
}

function read(name: string): string | undefined {
  try {
    return readFileSync(name, 'utf8')
  } catch {
    return undefined
  }
}

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
