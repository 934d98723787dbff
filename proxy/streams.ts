import type { Clock, EpochMs, Maybe, SessionId, SessionStore } from '../middleware/types.ts'

/** Something that stays open for long, and must end with its session. */
export interface OpenStream {
  readonly sessionId: SessionId | undefined
  /** Wall-clock time at which it must end; undefined: never by itself. */
  readonly until: EpochMs | undefined
  /** Asked then: another request may have moved the session's time on. */
  readonly recheck: (() => Maybe<EpochMs | undefined>) | undefined
  readonly end: (why: 'session' | 'time' | 'drain') => void
}

export interface Streams {
  /** Returns how to say that it has ended by itself. */
  add(s: OpenStream): () => void
  endAll(why: 'drain'): void
  readonly size: () => number
  close(): void
}

/** A jumped clock or a long sleep: so long at most until the time is looked at again. */
const LONGEST_SLEEP_MS = 60_000
const REJUDGED_AT_ONCE = 50
const REJUDGE_AGAIN_MS = 500

/**
 * What is open, by session: all of a session's streams end when it ends, on whichever replica that was said. An open stream
 * is no activity: at its time the session is asked once more, and only other requests can have moved it on.
 */
export function createStreams(
  onEnded: SessionStore['onEnded'],
  clock: Clock,
  onGap: SessionStore['onGap'] = () => () => undefined,
): Streams {
  const bySession = new Map<SessionId, Set<OpenStream>>()
  const all = new Map<OpenStream, NodeJS.Timeout | undefined>()
  const remove = (s: OpenStream): void => {
    clearTimeout(all.get(s))
    all.delete(s)
    if (s.sessionId === undefined) return
    const set = bySession.get(s.sessionId)
    set?.delete(s)
    if (set?.size === 0) bySession.delete(s.sessionId)
  }
  const end = (s: OpenStream, why: 'session' | 'time' | 'drain'): void => {
    remove(s)
    s.end(why)
  }
  const watch = (s: OpenStream, until: EpochMs): void => {
    const left = until - clock.wallMs()
    const timer = setTimeout(() => void look(s, until), Math.max(0, Math.min(left, LONGEST_SLEEP_MS)))
    timer.unref()
    all.set(s, timer)
  }
  const look = async (s: OpenStream, until: EpochMs): Promise<void> => {
    if (!all.has(s)) return
    if (clock.wallMs() < until) {
      watch(s, until)
      return
    }
    let next: EpochMs | undefined
    try {
      next = await s.recheck?.()
    } catch {
      // The store does not answer: no error is a yes.
      next = undefined
    }
    if (!all.has(s)) return
    if (next !== undefined && next > clock.wallMs()) watch(s, next)
    else end(s, 'time')
  }
  const stop = onEnded((id) => {
    for (const s of [...(bySession.get(id) ?? [])]) end(s, 'session')
  })
  let round = 0
  /** A store that was away may have missed ends, or come back without its data. Asked in small groups: it has just come back. */
  const rejudge = async (): Promise<void> => {
    const mine = ++round
    const left = [...all.keys()].filter((s) => s.recheck !== undefined)
    while (left.length > 0 && mine === round) {
      const some = left.splice(0, REJUDGED_AT_ONCE)
      const unknown = await Promise.all(some.map(rejudgeOne))
      const again = some.filter((_, i) => unknown[i] === true)
      if (again.length === 0) continue
      // Away again: no error is a yes, but an outage ends no session either. Its own time still ends the stream.
      left.push(...again)
      await clock.sleep(REJUDGE_AGAIN_MS)
    }
  }
  /** True where the store did not answer. */
  const rejudgeOne = async (s: OpenStream): Promise<boolean> => {
    if (!all.has(s)) return false
    try {
      const until = await s.recheck?.()
      if (all.has(s) && until === undefined) end(s, 'session')
      return false
    } catch {
      return all.has(s)
    }
  }
  const stopGaps = onGap(() => void rejudge())
  return {
    add: (s) => {
      all.set(s, undefined)
      if (s.sessionId !== undefined) {
        const set = bySession.get(s.sessionId) ?? new Set()
        set.add(s)
        bySession.set(s.sessionId, set)
      }
      if (s.until !== undefined) watch(s, s.until)
      return () => remove(s)
    },
    endAll: (why) => {
      for (const s of [...all.keys()]) end(s, why)
    },
    size: () => all.size,
    close: () => {
      round++
      stop()
      stopGaps()
      for (const timer of all.values()) clearTimeout(timer)
      all.clear()
      bySession.clear()
    },
  }
}
