import type { DatabaseSync } from 'node:sqlite'
import type { EndReason, SessionId } from '../../types.ts'

type Listener = (id: SessionId, reason: EndReason) => void

/** Ends of another process are looked for this often, while anybody listens: open sockets must end within a second. */
const POLL_MS = 250

/** Tells listeners of ended sessions: our own at once, those of other processes on the same file by polling. */
export function createEndedFeed(
  db: DatabaseSync,
  me: string,
): { tell: Listener; listen: (f: Listener) => () => void; close: () => void } {
  const listeners = new Set<Listener>()
  const news = db.prepare('SELECT seq, id, reason, by FROM ended WHERE seq > ? ORDER BY seq')
  const changes = db.prepare('PRAGMA data_version')
  let seen = Number(db.prepare('SELECT COALESCE(MAX(seq), 0) AS seq FROM ended').get()?.['seq'] ?? 0)
  let version = -1
  let timer: NodeJS.Timeout | undefined
  const tell: Listener = (id, reason) => {
    for (const f of [...listeners]) f(id, reason)
  }
  const poll = (): void => {
    try {
      // Rises only when another connection has written, so a quiet file costs one pragma.
      const now = Number(changes.get()?.['data_version'])
      if (now === version) return
      version = now
      for (const row of news.all(seen)) {
        seen = Number(row['seq'])
        if (row['by'] !== me) tell(String(row['id']) as SessionId, String(row['reason']) as EndReason)
      }
    } catch {
      // A fault is reported by whoever asks for a session; the next round looks again.
    }
  }
  return {
    tell,
    listen: (f) => {
      listeners.add(f)
      timer ??= setInterval(poll, POLL_MS).unref()
      return () => {
        listeners.delete(f)
        if (listeners.size > 0) return
        clearInterval(timer)
        timer = undefined
      }
    },
    close: () => {
      clearInterval(timer)
      listeners.clear()
    },
  }
}
