import { LineCounter, parseDocument } from 'yaml'
import type { YAMLError } from 'yaml'
import { Refused } from '../finding.ts'
import { holdsMask, mask } from './interpolate.ts'
import { walk } from './walk.ts'

/** One YAML file as plain values, and the line of everything in it. */
export interface YamlFile {
  /** Maps have no prototype, so that a key called `constructor` is a key like any other. */
  readonly value: unknown
  /** By `pathKey`. A key's own line, not its value's. */
  readonly lines: ReadonlyMap<string, number>
  readonly faults: readonly {
    readonly line: number
    readonly path?: readonly (string | number)[]
    readonly why: Refused
  }[]
}

const MAX_TEXT = 1024 * 1024

/**
 * Parses YAML 1.2 and fills in the environment. Never throws: what is wrong is in `faults`, each with its line.
 * The messages are ours: the library's quote the file, and the file may hold secrets.
 */
export function readYaml(text: string, env: NodeJS.ProcessEnv): YamlFile {
  if (text.length > MAX_TEXT) return broken(1, new Refused('YAML_TOO_LARGE', 'the file is larger than 1 MiB'))
  if (holdsMask(text))
    return broken(lineOfMask(text), new Refused('YAML_SYNTAX', 'a private-use character (U+E000 to U+F8FF) is here'))
  const lines = new LineCounter()
  const masked = mask(text)
  // Known tags are not resolved: a `!!binary` or `!!set` has no meaning in a config.
  const doc = parseDocument(masked, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    resolveKnownTags: false,
    // 'silent' would also be silent about a second document.
    logLevel: 'error',
  })
  const lineAt = (offset: number): number => Math.max(1, lines.linePos(Math.min(offset, masked.length)).line)
  const faults = [...doc.errors, ...doc.warnings].map((e) => ({ line: lineAt(e.pos[0]), why: syntax(e) }))
  // A file that YAML cannot read whole would only bring faults that the first one explains.
  if (faults.length > 0) return { value: undefined, lines: new Map(), faults: distinct(faults) }
  return walk(doc, env, lineAt)
}

function broken(line: number, why: Refused): YamlFile {
  return { value: undefined, lines: new Map(), faults: [{ line, why }] }
}

function lineOfMask(text: string): number {
  return text.slice(0, text.search(/[\ue000-\uf8ff]/)).split('\n').length
}

/** After its first real fault YAML stumbles over the rest of a line: one fault a line is what helps. */
function distinct<T extends { line: number }>(faults: readonly T[]): readonly T[] {
  const byLine = new Map<number, T>()
  for (const f of faults) if (!byLine.has(f.line)) byLine.set(f.line, f)
  return [...byLine.values()].slice(0, 20)
}

function syntax(e: YAMLError): Refused {
  if (e.code === 'DUPLICATE_KEY')
    return new Refused('DUPLICATE_KEY', 'this key stands twice in its section', 'Keep one of the two.')
  if (e.code === 'TAB_AS_INDENT') return new Refused('YAML_SYNTAX', 'a tab indents this line', 'Indent with spaces.')
  if (e.code === 'MULTIPLE_DOCS')
    return new Refused('YAML_SYNTAX', 'a second document begins here', 'Keep one document; remove the `---`.')
  if (e.code === 'NON_STRING_KEY')
    return new Refused('YAML_SYNTAX', 'this key is a list or a map', 'Keys are plain names.')
  if (e.code === 'RESOURCE_EXHAUSTION') return new Refused('YAML_TOO_LARGE', 'this is nested too deeply to be read')
  const about = SYNTAX[e.code] ?? 'this is not valid YAML'
  return new Refused(
    'YAML_SYNTAX',
    about,
    'Check quotes, brackets, colons and the indentation, here and on the line above.',
  )
}

const SYNTAX: Partial<Record<YAMLError['code'], string>> = {
  BAD_ALIAS: 'this alias is not valid',
  BAD_INDENT: 'the indentation does not fit the lines above',
  BAD_DQ_ESCAPE: 'a backslash escape in double quotes is not valid',
  BAD_SCALAR_START: 'a plain value cannot begin like this: put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a section begins where a value was expected',
  MISSING_CHAR: 'a closing quote, bracket or a space is missing',
  MULTILINE_IMPLICIT_KEY: 'a key goes over more than one line: a colon or a quote is missing',
  TAG_RESOLVE_FAILED: 'a `!tag` has no meaning here',
}
