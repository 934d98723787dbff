import { splitClaimPath } from '../../config/values/claim-path.ts'
import type { Claims } from '../types.ts'

/**
 * A claim by its name, else by a dotted path into nested ones (`realm_access.roles`). Own properties only. A name that holds
 * a dot is met whole at the top (`https://app.example.com/roles`), below it is written `\.`. In a list a number picks one
 * member (`addresses.0.city`); another name is looked up in each member (`teams.name`), which gives a list.
 */
export function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  return walk(claims, splitClaimPath(path))
}

function walk(value: unknown, keys: readonly string[]): unknown {
  const [key, ...rest] = keys
  if (key === undefined) return value
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value)) {
    if (/^\d{1,4}$/.test(key)) return walk(value[Number(key)], rest)
    const found = value.map((v) => walk(v, keys)).filter((v) => v !== undefined)
    return found.length === 0 ? undefined : found.flat()
  }
  return Object.hasOwn(value, key) ? walk((value as Record<string, unknown>)[key], rest) : undefined
}

/** Texts of a claim: a string is one, of a list its strings, numbers and booleans count. */
export function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  if (typeof value === 'number' || typeof value === 'boolean') return [String(value)]
  if (!Array.isArray(value)) return []
  return value.flatMap((v: unknown) => (Array.isArray(v) ? [] : textsOf(v)))
}

/**
 * The user's groups, as a list or one name.
 *
 * @param path where they stand: `identity_headers.groups_claim`.
 */
export function groupsOf(claims: Claims, path: string): readonly string[] {
  return textsOf(claimAt(claims, path))
}

/**
 * Whether a claim holds what is wanted: the same value; where a list is wanted, one of it; where the claim is a list, one of
 * its members. Types count: `"1"` is not `1`.
 */
export function holdsClaim(claims: Claims, path: string, wanted: unknown): boolean {
  const value = claimAt(claims, path)
  if (value === undefined || value === null) return false
  const has: readonly unknown[] = Array.isArray(value) ? value : [value]
  const options: readonly unknown[] = Array.isArray(wanted) ? wanted : [wanted]
  return options.some((o) => has.includes(o))
}
