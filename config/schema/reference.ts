import { schemaOf } from './json-schema.ts'
import type { JsonSchema } from './json-schema.ts'

export interface KeyInfo {
  /** `service_tokens.<name>.audience`, `routes[].path`. */
  readonly key: string
  readonly type: string
  /** Empty where there is none. */
  readonly preset: string
  readonly required: boolean
  readonly restart: boolean
  readonly about: string
}

/** Every key of one file, in the order of the schema, sections before what is in them. */
export function keysOf(file: 'settings' | 'routes'): readonly KeyInfo[] {
  return inside(schemaOf(file), '')
}

function inside(s: JsonSchema, prefix: string): KeyInfo[] {
  const dot = prefix === '' ? '' : `${prefix}.`
  const rows = Object.entries(s.properties ?? {}).flatMap(([key, p]) => [
    row(`${dot}${key}`, p, s.required?.includes(key) === true),
    ...inside(p, `${dot}${key}`),
  ])
  if (s.items?.properties) rows.push(...inside(s.items, `${prefix}[]`))
  const each = s.additionalProperties
  if (typeof each === 'object' && each.properties) rows.push(...inside(each, `${dot}<name>`))
  return rows
}

function row(key: string, s: JsonSchema, required: boolean): KeyInfo {
  const { default: preset } = s
  // Sections and lists begin empty; that needs no saying.
  const shown =
    typeof preset === 'string' || typeof preset === 'number' || typeof preset === 'boolean' ? String(preset) : ''
  return { key, type: typeOf(s), preset: shown, required, restart: s['x-restart'] === true, about: s.description ?? '' }
}

function typeOf(s: JsonSchema): string {
  if (s['x-type'] !== undefined) return s['x-type']
  if (s.enum !== undefined) return s.enum.map((v) => `\`${String(v)}\``).join(', ')
  if (s.type === 'array')
    return s.items?.properties ? 'list of sections' : `list of ${s.items ? typeOf(s.items) : 'texts'}`
  if (s.type === 'object')
    return s.properties
      ? 'section'
      : `name: ${typeof s.additionalProperties === 'object' ? typeOf(s.additionalProperties) : 'value'}`
  if (s.anyOf !== undefined) return [...new Set(s.anyOf.map(typeOf))].join(' or ')
  return TYPES[s.type ?? ''] ?? 'value'
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'number',
  number: 'number',
  boolean: 'true, false',
}

/** The reference of one file as Markdown: a table for each section. */
export function referenceOf(file: 'settings' | 'routes'): string {
  const sections = Map.groupBy(keysOf(file), ({ key }) => key.split(/[.[]/, 1)[0] ?? '')
  return [...sections].map(([name, rows]) => tableOf(name, rows)).join('\n')
}

function tableOf(name: string, [first, ...rows]: readonly KeyInfo[]): string {
  const head = `### ${name}\n\n${first?.about ?? ''}\n`
  const lines = (rows.length === 0 ? [first] : rows).filter((r) => r !== undefined).map(lineOf)
  return `${head}\n| key | type | default | what it does | change |\n|---|---|---|---|---|\n${lines.join('\n')}\n`
}

function lineOf(r: KeyInfo): string {
  const preset = r.required ? '**required**' : r.preset === '' ? '' : `\`${r.preset}\``
  return `| \`${r.key}\` | ${r.type} | ${preset} | ${r.about} | ${r.restart ? '**restart**' : 'reload'} |`
}

/** The document with the text between `<!-- file -->` and `<!-- /file -->` made anew. */
export function withReference(document: string): string {
  return (['settings', 'routes'] as const).reduce((text, file) => {
    const [begin, end] = [`<!-- ${file} -->`, `<!-- /${file} -->`]
    const [from, to] = [text.indexOf(begin), text.indexOf(end)]
    if (from === -1 || to < from) throw new Error(`the document has no ${begin} … ${end}`)
    return `${text.slice(0, from + begin.length)}\n${referenceOf(file)}${text.slice(to)}`
  }, document)
}
