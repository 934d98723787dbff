import { formatFinding, loadConfig } from '../config/load.ts'
import type { Finding, Settings } from '../config/types.ts'

/** Findings beside our own config's, such as those about Traefik's files. Asked only where our config could be read. */
export type MoreFindings = (settings: Settings) => readonly Finding[]

/**
 * `traefik-bff check`: every fault at once, each with its place and how to mend it, then how many there are.
 *
 * @param print takes one line or finding at a time, without a line break at the end.
 * @param more what other rooms have to say, with the settings they need for it.
 * @returns the exit code: 0 no fault, 1 faults, 2 there is no settings.yaml to judge.
 */
export function checkConfig(
  dir: string,
  env: NodeJS.ProcessEnv,
  print: (text: string) => void,
  more: MoreFindings = () => [],
): number {
  const got = loadConfig(dir, env)
  const others = got.ok ? more(got.settings) : []
  const of = (severity: Finding['severity']): Finding[] => others.filter((f) => f.severity === severity)
  const faults = [...(got.ok ? [] : got.faults), ...of('fault')]
  const warnings = [...got.warnings, ...of('warning')]
  for (const f of [...faults, ...warnings]) print(formatFinding(f))
  if (!got.ok && got.unreadable) return 2
  print(`${counted(faults.length, 'fault')}, ${counted(warnings.length, 'warning')}`)
  return faults.length > 0 ? 1 : 0
}

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
