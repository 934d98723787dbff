import type { BffEvent } from '../types.ts'

/** OAuth errors that tell of the client's registration or of the provider's abilities: somebody must mend them. */
const LASTING = new Set(['unsupported_grant_type', 'unauthorized_client', 'invalid_client'])
const KEPT_MS = 10 * 60_000
const MOST = 100

/** Remembers lasting refusals for a while, so that /ready can name them (R18). */
export function createFaults(): { take(e: BffEvent): void; readonly list: () => readonly string[] } {
  const seen = new Map<string, number>()
  return {
    take: (e) => {
      if (e.name !== 'token_request_failed') return
      const { error, service, strategy, grant } = e.fields ?? {}
      if (typeof error !== 'string' || !LASTING.has(error)) return
      const what = [service, strategy, grant].filter((x) => typeof x === 'string').join(' ')
      seen.delete(`${error}: ${what}`)
      if (seen.size < MOST) seen.set(`${error}: ${what}`, performance.now())
    },
    list: () => [...seen].filter(([, at]) => performance.now() - at < KEPT_MS).map(([text]) => text),
  }
}
