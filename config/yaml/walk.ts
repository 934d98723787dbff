import { isAlias, isMap, isScalar, isSeq } from 'yaml'
import type { Document, Node } from 'yaml'
import { Refused, pathKey } from '../finding.ts'
import type { YamlFile } from './document.ts'
import { interpolate, unmask } from './interpolate.ts'

/** An alias of an alias of an alias multiplies: what counts is how much there is when all are followed. The text has its own bound. */
const MAX_NODES_OF_ALIASES = 20_000
const MAX_DEPTH = 30

type Path = readonly (string | number)[]
type Found = YamlFile['faults'][number]

/** Thrown inside this file alone, to leave the recursion where the file is too large. */
class TooLarge extends Error {
  readonly line: number
  constructor(line: number) {
    super()
    this.line = line
  }
}

/** Turns a parsed document into plain values, following aliases and filling in the environment. */
export function walk(doc: Document.Parsed, env: NodeJS.ProcessEnv, lineAt: (offset: number) => number): YamlFile {
  const w = new Walker(doc, env, lineAt)
  try {
    return { value: w.value(doc.contents, [], 1), lines: w.lines, faults: w.faults }
  } catch (e) {
    if (!(e instanceof TooLarge)) throw e
    const why = new Refused(
      'YAML_TOO_LARGE',
      'with its aliases followed, the file is too large or too deep',
      'Write it without aliases (&, *).',
    )
    return { value: undefined, lines: new Map(), faults: [{ line: e.line, why }] }
  }
}

class Walker {
  readonly lines = new Map<string, number>()
  readonly faults: Found[] = []
  readonly #doc: Document.Parsed
  readonly #env: NodeJS.ProcessEnv
  readonly #lineAt: (offset: number) => number
  #ofAliases = 0
  #insideAlias = false

  constructor(doc: Document.Parsed, env: NodeJS.ProcessEnv, lineAt: (offset: number) => number) {
    this.#doc = doc
    this.#env = env
    this.#lineAt = lineAt
  }

  /** @param line of the key it stands under, for what has no place of its own. */
  value(node: unknown, path: Path, line: number): unknown {
    if (this.#insideAlias) this.#ofAliases += 1
    if (this.#ofAliases > MAX_NODES_OF_ALIASES || path.length > MAX_DEPTH) throw new TooLarge(line)
    if (!this.lines.has(pathKey(path))) this.lines.set(pathKey(path), this.#line(node, line))
    if (isAlias(node)) return this.#alias(node.resolve(this.#doc), path, line)
    if (isMap(node)) return this.#map(node.items, path, line)
    if (isSeq(node)) return node.items.map((item, i) => this.value(item, [...path, i], this.#line(item, line)))
    return isScalar(node) ? this.#scalar(node.value, path, this.#line(node, line)) : null
  }

  #alias(node: unknown, path: Path, line: number): unknown {
    const before = this.#insideAlias
    this.#insideAlias = true
    const value = this.value(node, path, line)
    this.#insideAlias = before
    return value
  }

  #map(items: readonly { key: unknown; value: unknown }[], path: Path, line: number): Record<string, unknown> {
    const out = Object.create(null) as Record<string, unknown>
    for (const { key, value } of items) {
      const name = unmask(isScalar(key) ? String(key.value) : '')
      const at = [...path, name]
      const keyLine = this.#line(key, line)
      this.lines.set(pathKey(at), keyLine)
      if (name === '__proto__')
        this.faults.push({ line: keyLine, why: new Refused('UNKNOWN_KEY', '`__proto__` is no key') })
      else out[name] = this.value(value, at, keyLine)
    }
    return out
  }

  /** Undefined where the environment did not have what it names: nothing more is to be said about the value. */
  #scalar(value: unknown, path: Path, line: number): unknown {
    if (typeof value !== 'string') return value
    const text = interpolate(unmask(value), this.#env)
    if (typeof text === 'string') return text
    for (const why of text) this.faults.push({ line, path, why })
    return undefined
  }

  #line(node: unknown, otherwise: number): number {
    const range = (node as Node | null | undefined)?.range
    return range === null || range === undefined ? otherwise : this.#lineAt(range[0])
  }
}
