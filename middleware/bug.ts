import type { BffEvent } from './types.ts'

/** What nobody foresaw, as a line of the log: the stack where there is one, and in which part of the service it came up. */
export function bugIn(where: string, e: unknown): BffEvent {
  return { name: 'bug', fields: { where, error: e instanceof Error ? (e.stack ?? e.message) : 'unknown' } }
}
