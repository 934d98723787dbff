import type { Context, DecideDeps, Decision, Maybe, RequestFacts, Step } from '../types.ts'
import { authorize, authorizeScopes } from './authorize.ts'
import { authorizeAgain } from './authorize-again.ts'
import { buildHeaders } from './build-headers.ts'
import { checkCsrf } from './check-csrf.ts'
import { loadPrincipal } from './load-principal.ts'
import { loadToken } from './load-token.ts'
import { allowAnonymous, matchRoute } from './match-route.ts'

/** The decision, in order: which route, is it open, who asks, is it they, may they, with which token, may they still, told how. */
export const STEPS: readonly (readonly [name: string, step: Step])[] = [
  ['match-route', matchRoute],
  ['allow-anonymous', allowAnonymous],
  ['load-principal', loadPrincipal],
  ['check-csrf', checkCsrf],
  ['authorize', authorize],
  ['load-token', loadToken],
  ['authorize-again', authorizeAgain],
  ['authorize-scopes', authorizeScopes],
  ['build-headers', buildHeaders],
]

/**
 * The only place where a yes is made. Every mouth calls it with the same facts and gets the same decision. A step answers
 * with a decision or lets the request go on; only promises are awaited, so a warm decision runs without a gap.
 */
export function decide(facts: RequestFacts, deps: DecideDeps): Maybe<Decision> {
  return runFrom(0, { facts }, deps)
}

function runFrom(start: number, c: Context, deps: DecideDeps): Maybe<Decision> {
  for (let i = start; i < STEPS.length; i++) {
    const pair = STEPS[i]
    if (pair === undefined) break
    const step = pair[1]
    const result = step(c, deps)
    if (result instanceof Promise) {
      return result.then((decided) => {
        deps.watch?.(pair[0], c)
        return decided ?? runFrom(i + 1, c, deps)
      })
    }
    deps.watch?.(pair[0], c)
    if (result !== undefined) return result
  }
  // No step said yes: that is a no.
  return { kind: 'refuse', code: 'FORBIDDEN', why: 'no step allowed it' }
}
