import { z } from './zod.ts'
import { routesSchema, settingsSchema } from './schema.ts'

/** As much of JSON Schema 2020-12 as ours uses. */
export interface JsonSchema {
  $schema?: string
  $id?: string
  title?: string
  type?: string
  description?: string
  default?: unknown
  enum?: readonly unknown[]
  pattern?: string
  anyOf?: JsonSchema[]
  items?: JsonSchema
  properties?: Record<string, JsonSchema>
  propertyNames?: JsonSchema
  additionalProperties?: JsonSchema | boolean
  required?: string[]
  'x-restart'?: boolean
  'x-required'?: boolean
  /** What a person writes, for the reference. */
  'x-type'?: string
}

/** Every value may also be written as a reference to the environment, whatever it has to be in the end. */
const REFERENCE: JsonSchema = { type: 'string', pattern: '\\$\\{' }

/** The schema of one file as the loader sees it, after the environment is filled in. */
export function schemaOf(file: 'settings' | 'routes'): JsonSchema {
  const made = z.toJSONSchema(file === 'settings' ? settingsSchema : routesSchema, { io: 'input', reused: 'inline' })
  const schema = made as JsonSchema
  visit(schema, markRequired)
  return schema
}

/** The same for editors: `${NAME}` is allowed where a number, a word of a list or a pattern is wanted. */
export function editorSchemaOf(file: 'settings' | 'routes'): JsonSchema {
  const schema = schemaOf(file)
  visit(schema, (s) => {
    for (const [key, p] of Object.entries(s.properties ?? {})) if (s.properties) s.properties[key] = orReference(p)
    if (s.items) s.items = orReference(s.items)
  })
  return { ...schema, title: `traefik-bff ${file}.yaml` }
}

function orReference(s: JsonSchema): JsonSchema {
  const narrow =
    (s.type !== 'string' && s.type !== 'object' && s.type !== 'array') ||
    s.enum !== undefined ||
    s.pattern !== undefined
  if (!narrow || s.type === undefined) return s
  const { description, default: otherwise, 'x-restart': restart, ...rest } = s
  return {
    ...(description === undefined ? {} : { description }),
    ...(otherwise === undefined ? {} : { default: otherwise }),
    ...(restart === undefined ? {} : { 'x-restart': restart }),
    anyOf: [rest, REFERENCE],
  }
}

/** Required keys are optional in zod, so that what is there can still be checked; here they become `required`. */
function markRequired(s: JsonSchema): void {
  const required = Object.entries(s.properties ?? {}).filter(([, p]) => p['x-required'] === true)
  for (const [, p] of required) delete p['x-required']
  if (required.length > 0) s.required = required.map(([key]) => key)
}

/** Calls `f` for a schema and all in it, inner ones last. */
function visit(s: JsonSchema, f: (s: JsonSchema) => void): void {
  f(s)
  for (const p of Object.values(s.properties ?? {})) visit(p, f)
  for (const p of s.anyOf ?? []) visit(p, f)
  if (s.items) visit(s.items, f)
  if (typeof s.additionalProperties === 'object') visit(s.additionalProperties, f)
}

/** The schema of what stands at `path`; undefined where the schema knows no such place. */
export function schemaAt(root: JsonSchema, path: readonly (string | number)[]): JsonSchema | undefined {
  let here: JsonSchema | undefined = root
  for (const step of path) {
    if (here === undefined) return undefined
    if (typeof step === 'number') here = here.items ?? here.anyOf?.find((s) => s.items)?.items
    else if (here.properties && Object.hasOwn(here.properties, step)) here = here.properties[step]
    else here = typeof here.additionalProperties === 'object' ? here.additionalProperties : undefined
  }
  return here
}
