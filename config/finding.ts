import type { Finding, Severity } from './types.ts'

/** Where something stands: which of the two files, then the keys and list positions down to it. */
export type Place = readonly [file: ConfigFile, ...path: (string | number)[]]
export type ConfigFile = 'settings' | 'routes'

/** What is wrong with one value, before it is known where it stands. `mend` says what to write instead. */
export interface Problem {
  readonly code: string
  readonly message: string
  readonly mend?: string
}

/** Marks a {@link Problem} among the values a parser may return. */
export class Refused {
  readonly problem: Problem
  constructor(code: string, message: string, mend?: string) {
    this.problem = mend === undefined ? { code, message } : { code, message, mend }
  }
}

/** Takes findings by place; `check/` and `build/` speak to this alone. */
export interface Report {
  fault(at: Place, problem: Problem): void
  warn(at: Place, problem: Problem): void
  /** Whether a value stood there that was thrown away as faulty. */
  isSpoilt(at: Place): boolean
}

/** Which file a line is in, for one place. */
export type Locate = (at: Place) => { readonly file: string; readonly line: number }

/** A report that keeps findings, and drops those about a value that was already found faulty. */
export class Findings implements Report {
  readonly #locate: Locate
  readonly #kept: Finding[] = []
  readonly #spoilt = new Set<string>()

  constructor(locate: Locate) {
    this.#locate = locate
  }

  fault(at: Place, problem: Problem): void {
    this.#add('fault', at, problem)
  }

  warn(at: Place, problem: Problem): void {
    this.#add('warning', at, problem)
  }

  /** One that already knows its line (YAML's own faults). */
  take(finding: Finding): void {
    this.#kept.push(finding)
  }

  /** From now on nothing more is said about this place or what is under it: its value was thrown away. */
  spoil(at: Place): void {
    this.#spoilt.add(pathKey(at))
  }

  isSpoilt(at: Place): boolean {
    for (let n = at.length; n > 0; n -= 1) if (this.#spoilt.has(pathKey(at.slice(0, n)))) return true
    return false
  }

  /** By file and line, each once. */
  sorted(severity: Severity): readonly Finding[] {
    const seen = new Map<string, Finding>()
    for (const f of this.#kept) if (f.severity === severity) seen.set(formatFinding(f), f)
    return [...seen.values()].sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? 1 : -1))
  }

  #add(severity: Severity, at: Place, problem: Problem): void {
    if (this.isSpoilt(at)) return
    this.#kept.push({ severity, ...this.#locate(at), ...problem })
  }
}

/**
 * One finding as `traefik-bff check` prints it: `file:line: CODE message`, and under it how to mend it.
 * A warning says so, because it does not stop a start.
 */
export function formatFinding(f: Finding): string {
  const kind = f.severity === 'warning' ? 'warning ' : ''
  const head = `${f.file}:${f.line}: ${kind}${f.code} ${f.message}`
  return f.mend === undefined ? head : `${head}\n  mend: ${f.mend}`
}

/** A path as the key of a map. */
export const pathKey = (path: readonly (string | number)[]): string => JSON.stringify(path)

/** `auth.client_id`, `routes[2].path`: a place as a person writes it. */
export function dotted(at: readonly (string | number)[]): string {
  return at.map((p, i) => (typeof p === 'number' ? `[${p}]` : i === 0 ? shown(p) : `.${shown(p)}`)).join('')
}

/** A key from the file, fit for one line of a terminal. */
export function shown(key: string): string {
  const clean = key.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\ue000-\uf8ff]/g, '?')
  return clean.length > 60 ? `${clean.slice(0, 57)}...` : clean
}
