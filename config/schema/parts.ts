import type { ZodRawShape, ZodString, ZodType } from 'zod'
import { z } from './zod.ts'
import { Refused } from '../finding.ts'
import { secret } from '../secret.ts'
import { parseDuration } from '../values/time.ts'

/** What the reference and the JSON Schema say of a key. */
interface About {
  /** What a person writes, where `text` says too little. */
  readonly type?: string
  /** A reload does not change it; the service has to be started again. */
  readonly restart?: boolean
  readonly required?: boolean
}

/** Description and marks of one key; goes last, because a wrapper made later has marks of its own. */
export function about(description: string, o: About = {}): Record<string, unknown> {
  return {
    description,
    ...(o.restart === true ? { 'x-restart': true } : {}),
    ...(o.required === true ? { 'x-required': true } : {}),
    ...(o.type === undefined ? {} : { 'x-type': o.type }),
  }
}

/** An empty section (`clients:` and nothing below) is what is left when its lines are commented out. */
const whenEmpty =
  (instead: () => unknown) =>
  (v: unknown): unknown =>
    v === null ? instead() : v

/** A section with exactly these keys. */
export const section = <T extends ZodRawShape>(shape: T) =>
  z.preprocess(
    whenEmpty(() => ({})),
    z.strictObject(shape),
  )

/** Names of the operator's own -> values. */
export const named = <T extends ZodType>(value: T) =>
  z.preprocess(
    whenEmpty(() => ({})),
    z.record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/), value),
  )

/** Free keys, such as parameters and claims. */
export const freely = <T extends ZodType>(value: T) =>
  z.preprocess(
    whenEmpty(() => ({})),
    z.record(z.string().min(1), value),
  )

export const list = <T extends ZodType>(item: T) =>
  z.preprocess(
    whenEmpty(() => []),
    z.array(item),
  )

export const text = () => z.string().min(1)

/** Never shown again, from here on. */
export const secretText = () => text().transform(secret).meta({ 'x-type': 'secret' })

/** Blank-separated, or a list: both are how scopes are written. */
export const words = () =>
  z
    .union([z.string(), z.array(z.string().regex(/^\S+$/))], { error: 'must be a text or a list of texts' })
    .transform((v) => (typeof v === 'string' ? v.split(/\s+/).filter((w) => w !== '') : v))
    .meta({ 'x-type': 'text (blank-separated) or list' })

/** One text, or a list of them. */
export const texts = () =>
  z
    .union([text(), z.array(text())], { error: 'must be a text or a list of texts' })
    .transform((v) => (typeof v === 'string' ? [v] : v))
    .meta({ 'x-type': 'text or list' })

/** A number, also where the environment brings it as text. */
export const count = (least: number, most: number) =>
  z.preprocess((v) => (typeof v === 'string' && /^\d{1,9}$/.test(v) ? Number(v) : v), z.int().min(least).max(most))

/** A yes or no, also where the environment brings it as text. */
export const flag = () => z.preprocess((v) => (v === 'true' ? true : v === 'false' ? false : v), z.boolean())

/** A text that one of `values/` understands. YAML reads `30` as a number: that it lacks a unit says more than its type. */
export const parsed = <T>(parse: (text: string) => T | Refused, input: () => ZodString = text) =>
  z.preprocess(
    (v) => (typeof v === 'number' ? String(v) : v),
    input().transform((v, ctx): T => {
      const got = parse(v)
      if (!(got instanceof Refused)) return got
      const { code, message, mend } = got.problem
      // `input` stays out: an issue must not carry a value that could be a secret.
      ctx.issues.push({ code: 'custom', message, params: { code, mend }, input: undefined })
      return z.NEVER
    }),
  )

export const duration = (least: string, most: string) =>
  parsed((v) => parseDuration(v, least, most)).meta({ 'x-type': `duration, ${least} to ${most}` })

/** Query and form parameters: what YAML reads as a number or a yes is sent as it was written. */
export const parameters = () =>
  freely(
    z
      .union([z.string(), z.number(), z.boolean()], { error: 'must be a text, a number, true or false' })
      .transform(String),
  )

/** Dotted path into the claims -> the wanted value, or a list of which one must hold. */
export const claims = () => {
  const one = z.union([z.string(), z.number(), z.boolean()])
  return freely(z.union([one, z.array(one)], { error: 'must be a text, a number, true, false or a list of these' }))
}
