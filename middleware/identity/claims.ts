import type { Claims } from '../types.ts'

/** A claim by its name, else by a dotted path into nested ones (`realm_access.roles`). Own properties only. */
export function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  let value: unknown = claims
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

/** Texts of a claim: a string is one, of a list its strings and numbers count. */
export function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  if (typeof value === 'number' || typeof value === 'boolean') return [String(value)]
  if (!Array.isArray(value)) return []
  return value.flatMap((v: unknown) => (typeof v === 'string' || typeof v === 'number' ? [String(v)] : []))
}

/** The user's groups: the `groups` claim, as a list or one name. */
export function groupsOf(claims: Claims): readonly string[] {
  return textsOf(claims['groups'])
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
