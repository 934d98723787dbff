import { dotted, pathKey, shown } from '../../config/finding.ts'
import type { Finding, Severity } from '../../config/types.ts'
import { readYaml } from '../../config/yaml/document.ts'

type Path = readonly (string | number)[]

/** One file of Traefik's, as plain values, with a voice that knows its lines. */
export interface TraefikFile {
  readonly name: string
  readonly root: unknown
  say(severity: Severity, at: Path, code: string, message: string, mend?: string): void
}

export interface ReadFile {
  readonly file: TraefikFile
  readonly findings: readonly Finding[]
}

/** Reads one file; a fault of YAML is a finding, and the rest of the file counts as empty. */
export function readTraefikFile(name: string, text: string): ReadFile {
  const findings: Finding[] = []
  const toml = /\.toml$/i.test(name)
  // Traefik's `${…}` is none of our environment: what is written is what is judged.
  const yaml = toml ? undefined : readYaml(text.replace(/\$\{/g, '$_{'), {})
  const add = (severity: Severity, line: number, code: string, message: string, mend?: string): void => {
    findings.push({ severity, file: name, line, code, message, ...(mend === undefined ? {} : { mend }) })
  }
  if (toml) add('fault', 1, 'TRAEFIK_TOML', 'TOML is not read here', 'Give the same as YAML, or as Traefik shows it.')
  for (const { line, why } of yaml?.faults ?? []) add('fault', line, why.problem.code, why.problem.message)
  const lineOf = (at: Path): number => {
    for (let n = at.length; n > 0; n -= 1) {
      const line = yaml?.lines.get(pathKey(at.slice(0, n)))
      if (line !== undefined) return line
    }
    return 1
  }
  return {
    findings,
    file: {
      name,
      root: yaml?.value,
      say: (severity, at, code, message, mend) =>
        add(severity, lineOf(at), code, `${at.length === 0 ? '' : `${dotted(at)}: `}${message}`, mend),
    },
  }
}

export function get(from: unknown, ...path: readonly string[]): unknown {
  let at = from
  for (const key of path) {
    if (typeof at !== 'object' || at === null || Array.isArray(at)) return undefined
    // Traefik reads keys in any case.
    const found = Object.keys(at).find((k) => k.toLowerCase() === key.toLowerCase())
    if (found === undefined) return undefined
    at = (at as Record<string, unknown>)[found]
  }
  return at
}

export function entries(from: unknown): readonly (readonly [string, unknown])[] {
  return typeof from === 'object' && from !== null && !Array.isArray(from) ? Object.entries(from) : []
}

export function texts(from: unknown): readonly string[] {
  return (Array.isArray(from) ? from : []).filter((x): x is string => typeof x === 'string')
}

/** `true` and `"true"` are the same to Traefik. */
export function flag(from: unknown): boolean | undefined {
  if (typeof from === 'boolean') return from
  return typeof from === 'string' ? from.toLowerCase() === 'true' : undefined
}

export const listed = (names: readonly string[]): string =>
  names.length <= 6
    ? names.map(shown).join(', ')
    : `${names.slice(0, 6).map(shown).join(', ')} and ${names.length - 6} more`
