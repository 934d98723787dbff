import { type ServiceToken, StoreUnavailable, type TokenAnswer } from '../types.ts'
import type { Parts } from './parts.ts'

const RETRY_S = 2

/**
 * An answer by `tokens.deadline`, whatever the flight does; the flight itself goes on and is stored. A store that does
 * not answer is an answer here, not an exception.
 */
export async function inTime(
  p: Parts,
  flight: Promise<TokenAnswer>,
  fallback: () => ServiceToken | undefined,
): Promise<TokenAnswer> {
  const stop = new AbortController()
  const late = p.o.clock.sleep(p.o.settings().tokens.deadlineMs, stop.signal).then((): TokenAnswer => {
    const token = fallback()
    return token === undefined ? { kind: 'down', what: 'provider', retryAfterS: RETRY_S } : { kind: 'token', token }
  })
  try {
    return await Promise.race([flight, late])
  } catch (e) {
    if (e instanceof StoreUnavailable) return { kind: 'down', what: 'store', retryAfterS: 1 }
    throw e
  } finally {
    stop.abort()
    // Past the deadline nobody waits any more.
    flight.catch(() => undefined)
  }
}
