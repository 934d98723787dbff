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

/**
 * What is open, by session: all of a session's streams end when it ends, on whichever replica that was said. An open stream
 * is no activity: at its time the session is asked once more, and only other requests can have moved it on.
 */
export function createStreams(onEnded: SessionStore['onEnded'], clock: Clock): Streams {
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
      stop()
      for (const timer of all.values()) clearTimeout(timer)
      all.clear()
      bySession.clear()
    },
  }
}
