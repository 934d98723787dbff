import type { z } from 'zod'
import { dotted } from '../finding.ts'
import type { ConfigFile, Findings } from '../finding.ts'
import { tell } from './issues.ts'
import type { JsonSchema } from './json-schema.ts'

type Path = readonly (string | number)[]

/**
 * Checks one file against its schema and goes on with what is left, so that the checks that come after can speak of it too:
 * each faulty value is reported, thrown away, and its place kept silent from then on.
 *
 * @param value plain values, changed in place.
 * @returns undefined where nothing is left to go on with.
 */
export function parseWith<T extends z.ZodType>(
  schema: T,
  json: JsonSchema,
  file: ConfigFile,
  value: unknown,
  found: Findings,
): z.output<T> | undefined {
  const box = { value: value ?? {} }
  // Each round throws something away, so this ends; the bound is for the case that it does not.
  for (let round = 0; round < 100; round += 1) {
    // zod compiles what it parses with; settings are parsed once, and are parsed sooner without. Routes may be thousands.
    const got = schema.safeParse(box.value, { jitless: file === 'settings' })
    if (got.success) {
      requireKeys(box.value, json, [], file, found)
      return got.data
    }
    const told = got.error.issues.flatMap((issue) => tell(issue, json))
    for (const { path, problem } of told) found.fault([file, ...path], problem)
    for (const { path } of told) {
      if (path.length === 0) return undefined
      found.spoil([file, ...prune(box.value, path)])
    }
  }
  return undefined
}

/**
 * Takes one value out, and says what really went. In a list of sections an empty one stays, so that the others keep their
 * numbers; another list goes as a whole, for what would be left of it is not what was meant.
 */
function prune(root: unknown, path: Path): Path {
  const above = path.slice(0, -1)
  const parent = above.reduce<unknown>(child, root)
  const last = path.at(-1)
  if (!Array.isArray(parent)) {
    if (typeof parent === 'object' && parent !== null) Reflect.deleteProperty(parent, String(last))
    return path
  }
  if (above.length !== 1 || above[0] !== 'routes' || typeof last !== 'number') return prune(root, above)
  parent[last] = {}
  return path
}

function child(of: unknown, step: string | number): unknown {
  return typeof of === 'object' && of !== null ? (of as Record<string | number, unknown>)[step] : undefined
}

/** Keys that must be there, in each section that is. */
function requireKeys(value: unknown, schema: JsonSchema, path: Path, file: ConfigFile, found: Findings): void {
  if (Array.isArray(value)) {
    const { items } = schema
    if (items) value.forEach((v, i) => requireKeys(v, items, [...path, i], file, found))
    return
  }
  // Nothing stands for an empty section; anything else was thrown away by now.
  const here = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  for (const key of schema.required ?? []) {
    if (here[key] !== undefined) continue
    const at = dotted([...path, key])
    found.fault([file, ...path, key], {
      code: 'MISSING_KEY',
      message: `\`${at}\` is missing`,
      mend: schema.properties?.[key]?.description ?? '',
    })
  }
  for (const [key, p] of Object.entries(schema.properties ?? {})) {
    // A section left out is as good as an empty one where the schema fills it in.
    if (here[key] !== undefined || (p.type === 'object' && p.default !== undefined))
      requireKeys(here[key], p, [...path, key], file, found)
  }
  const each = schema.additionalProperties
  if (typeof each === 'object')
    for (const [key, v] of Object.entries(here)) requireKeys(v, each, [...path, key], file, found)
}
