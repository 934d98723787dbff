import { Refused } from '../finding.ts'
import type { RateLimit } from '../types.ts'

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `500ms`, `2s`, `30m`, `12h`, `7d` in milliseconds, within `[least, most]`, which are written the same way. */
export function parseDuration(text: string, least: string, most: string): number | Refused {
  const ms = milliseconds(text)
  const mend = `Write a whole number and a unit, between ${least} and ${most}: 500ms, 2s, 30m, 12h, 7d.`
  if (ms === undefined) return new Refused('BAD_DURATION', 'this is not a duration', mend)
  if (ms < (milliseconds(least) ?? 0) || ms > (milliseconds(most) ?? Infinity))
    return new Refused('DURATION_RANGE', 'this duration is outside its range', mend)
  return ms
}

function milliseconds(text: string): number | undefined {
  const m = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text)
  return m?.[1] === undefined || m[2] === undefined ? undefined : Number(m[1]) * (UNITS[m[2]] ?? NaN)
}

/** `600/m`, `10/s`, `100/h`: so many in a second, minute, hour. */
export function parseRate(text: string): RateLimit | Refused {
  const m = /^(\d{1,7})\/([smh])$/.exec(text)
  const perMs = UNITS[m?.[2] ?? '']
  const count = Number(m?.[1])
  if (perMs === undefined || count < 1)
    return new Refused(
      'BAD_RATE',
      'this is not a rate',
      'Write a number of 1 or more and s, m or h: 10/s, 600/m, 100/h.',
    )
  return { count, perMs }
}
