import type { Code } from '../middleware/types.ts'

export interface Failure {
  readonly code: Code
  readonly status: 502 | 504
}

/** Marks an upstream request that we gave up because its answer did not begin in time. */
export class UpstreamTimeout extends Error {
  override readonly name = 'UpstreamTimeout'
}

const SLOW: ReadonlySet<string> = new Set(['ETIMEDOUT', 'ESOCKETTIMEDOUT', 'ERR_SOCKET_CONNECTION_TIMEOUT'])

/** One table from what went wrong to the answer: too slow is 504, everything else of an upstream 502. */
export function failureOf(e: unknown): Failure {
  const code = typeof e === 'object' && e !== null && 'code' in e ? String(e.code) : ''
  const slow = e instanceof UpstreamTimeout || SLOW.has(code)
  return { code: 'UPSTREAM_UNAVAILABLE', status: slow ? 504 : 502 }
}
