import type { z } from 'zod'
import { dotted, shown } from '../finding.ts'
import type { Problem } from '../finding.ts'
import { suggest } from '../suggest.ts'
import { schemaAt } from './json-schema.ts'
import type { JsonSchema } from './json-schema.ts'

type Issue = z.core.$ZodIssue
type Path = readonly (string | number)[]

/** One fault and the value it is about. */
export interface Told {
  readonly path: Path
  readonly problem: Problem
}

/**
 * What zod found, in our words. No message holds a value: it could be a secret that stands in the wrong place.
 *
 * @param root the JSON Schema of the same file, which knows the keys there could have been.
 */
export function tell(issue: Issue, root: JsonSchema): readonly Told[] {
  const path = issue.path.map((p) => (typeof p === 'number' ? p : String(p)))
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key, root))
  return [{ path, problem: problemOf(issue, path) }]
}

function unknownKey(path: Path, key: string, root: JsonSchema): Told {
  const known = Object.keys(schemaAt(root, path)?.properties ?? {})
  const near = suggest(key, known)
  const mend = near === undefined ? `Known here: ${known.join(', ')}.` : `Did you mean \`${near}\`?`
  return {
    path: [...path, key],
    problem: { code: 'UNKNOWN_KEY', message: `\`${shown(key)}\` is no key of ${nameOf(path)}`, mend },
  }
}

const nameOf = (path: Path): string => (path.length === 0 ? 'this file' : `\`${dotted(path)}\``)

function problemOf(issue: Issue, path: Path): Problem {
  const name = nameOf(path)
  switch (issue.code) {
    case 'custom':
      return custom(issue, name)
    case 'invalid_type':
      return {
        code: 'WRONG_TYPE',
        message: `${name} must be ${TYPES[issue.expected] ?? issue.expected}`,
        ...mendType(issue.expected),
      }
    case 'invalid_union':
      return { code: 'WRONG_TYPE', message: `${name} ${issue.message}` }
    case 'invalid_value':
      return {
        code: 'BAD_VALUE',
        message: `${name} is none of its values`,
        mend: `Write one of ${issue.values.map(String).join(', ')}.`,
      }
    case 'too_small':
      if (issue.origin === 'string' || issue.origin === 'array')
        return { code: 'EMPTY_VALUE', message: `${name} is empty`, mend: 'Give it a value or remove the key.' }
      return { code: 'OUT_OF_RANGE', message: `${name} must be ${issue.minimum} or more` }
    case 'too_big':
      return { code: 'OUT_OF_RANGE', message: `${name} must be ${issue.maximum} or less` }
    case 'invalid_key':
      return {
        code: 'BAD_NAME',
        message: `${name} is not a usable name`,
        mend: 'Letters, digits, ., _ and -, beginning with a letter or digit; 64 at most.',
      }
    case 'invalid_format':
      return { code: 'BAD_VALUE', message: `${name} holds characters that it cannot have` }
    case 'not_multiple_of':
    case 'unrecognized_keys':
    case 'invalid_element':
      return { code: 'BAD_VALUE', message: `${name} is not a valid value` }
  }
}

function custom(issue: z.core.$ZodIssueCustom, name: string): Problem {
  const { code, mend } = issue.params ?? {}
  return {
    code: typeof code === 'string' ? code : 'BAD_VALUE',
    message: `${name}: ${issue.message}`,
    ...(typeof mend === 'string' ? { mend } : {}),
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a section of keys',
  record: 'a section of names',
  array: 'a list',
}

function mendType(expected: string): { mend?: string } {
  if (expected === 'string') return { mend: 'Put the value in quotes.' }
  if (expected === 'array') return { mend: 'Write [a, b], or one `- ` line for each.' }
  return expected === 'object' || expected === 'record' ? { mend: 'Write its keys on the lines below, indented.' } : {}
}
