import type { DatabaseSync } from 'node:sqlite'
import type { EndReason, EpochMs, SessionId } from '../../types.ts'

type Listener = (id: SessionId, reason: EndReason) => void

/** Ends of another process are looked for this often: open sockets must end within a second. */
const POLL_MS = 250

export interface EndedFeed {
  readonly tell: Listener
  readonly listen: (f: Listener) => () => void
  readonly listenEpoch: (f: (at: EpochMs | 'unknown') => void) => () => void
  /** Another file lies under the name: what is news is counted from its end on. */
  reopened(db: DatabaseSync): void
  close(): void
}

/**
 * Tells listeners of ended sessions and of the epoch: our own at once, those of other processes on the same file by polling.
 * `eachRound` is run before each look.
 */
export function createEndedFeed(first: DatabaseSync, me: string, eachRound: () => void): EndedFeed {
  const listeners = new Set<Listener>()
  const epochListeners = new Set<(at: EpochMs | 'unknown') => void>()
  let { news, changes, epoch, seen } = look(first)
  let version = -1
  const tell: Listener = (id, reason) => {
    for (const f of [...listeners]) f(id, reason)
  }
  const poll = (): void => {
    eachRound()
    try {
      // Rises only when another connection has written, so a quiet file costs one pragma.
      const now = Number(changes.get()?.['data_version'])
      if (now === version) return
      version = now
      const at = Number(epoch.get()?.['value'] ?? 0) as EpochMs
      for (const f of [...epochListeners]) f(at)
      for (const row of news.all(seen)) {
        seen = Number(row['seq'])
        if (row['by'] !== me) tell(String(row['id']) as SessionId, String(row['reason']) as EndReason)
      }
    } catch {
      // A fault is reported by whoever asks for a session; the next round looks again.
    }
  }
  const timer = setInterval(poll, POLL_MS).unref()
  return {
    tell,
    listen: (f) => {
      listeners.add(f)
      return () => listeners.delete(f)
    },
    listenEpoch: (f) => {
      epochListeners.add(f)
      return () => epochListeners.delete(f)
    },
    reopened: (db) => {
      ;({ news, changes, epoch, seen } = look(db))
      version = -1
      for (const f of [...epochListeners]) f('unknown')
    },
    close: () => {
      clearInterval(timer)
      listeners.clear()
      epochListeners.clear()
    },
  }
}

function look(db: DatabaseSync) {
  return {
    news: db.prepare('SELECT seq, id, reason, by FROM ended WHERE seq > ? ORDER BY seq'),
    changes: db.prepare('PRAGMA data_version'),
    epoch: db.prepare("SELECT value FROM meta WHERE key = 'revoked_before'"),
    seen: Number(db.prepare('SELECT COALESCE(MAX(seq), 0) AS seq FROM ended').get()?.['seq'] ?? 0),
  }
}
