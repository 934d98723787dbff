import type { LiveSession, Maybe, TokenAnswer } from '../types.ts'
import type { Parts } from './parts.ts'

/** A sign-in waits this long for its services' tokens; the rest comes behind it. */
const BOUND_MS = 3_000

export interface WarmUp {
  readonly names: readonly string[]
  readonly correlationId: string
  readonly token: (service: string) => Maybe<TokenAnswer>
}

/**
 * Asks for a token for every service. The refresh token is one, so those that use it go one after another; login is not
 * held for longer than the bound. Tells `bff_service_tokens_mapped` once, when all have been tried. With `warm_up: lazy`
 * only those already held are told.
 */
export async function warmUp(p: Parts, live: LiveSession, w: WarmUp): Promise<readonly string[]> {
  const lazy = p.o.settings().tokens.warmUp === 'lazy'
  const mapped: string[] = []
  const one = async (name: string): Promise<void> => {
    if (lazy && !live.tokens.has(name)) return
    const answer = await w.token(name)
    if (answer.kind === 'token') mapped.push(name)
  }
  const stop = new AbortController()
  const all = Promise.allSettled(w.names.map(one)).then(() => {
    stop.abort()
    p.o.emit({
      name: 'bff_service_tokens_mapped',
      correlationId: w.correlationId,
      fields: { services: [...mapped].sort() },
    })
  })
  await Promise.race([all, p.o.clock.sleep(BOUND_MS, stop.signal)])
  return [...mapped].sort()
}
