import type { Context, DecideDeps, Decision, Maybe } from '../types.ts'
import { authorize } from './authorize.ts'
import { loadPrincipal } from './load-principal.ts'

/**
 * A refresh may have brought other claims, and a sign-out or another replica may have ended the session while the token was
 * waited for. What was decided before would let the user in once more, and tell the upstream what is no longer so.
 */
export function authorizeAgain(c: Context, deps: DecideDeps): Maybe<Decision | undefined> {
  if (c.waited !== true || c.principal?.kind !== 'user') return undefined
  const again = loadPrincipal(c, deps)
  return again instanceof Promise ? again.then((no) => no ?? authorize(c, deps)) : (again ?? authorize(c, deps))
}
