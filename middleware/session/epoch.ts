import type { EpochMs } from '../types.ts'
import type { SessionBackend } from './backend.ts'
import type { EpochFiles } from './epoch-files.ts'

/** A message that a broken subscription lost is found by asking, this often. */
const ASK_AGAIN_MS = 5000

/**
 * `sessions revoke --all` as one number: no session created at or before it is live. Deleting alone would not do, since a
 * snapshot brings back what was deleted. It only ever rises, and is kept in three places: the store (for other replicas), this
 * process, and a file; a store that comes back with less is told again.
 */
export interface Epoch {
  revokedBefore(): EpochMs
  /** A read of the store that must be waited for: none has succeeded since the connection came. Undefined: nothing to wait for. */
  settle(): Promise<void> | undefined
  /** Raises it everywhere. Throws StoreUnavailable: then it is not raised. */
  raise(at: EpochMs): Promise<void>
  close(): void
}

export function createEpoch(
  backend: Pick<SessionBackend, 'readEpoch' | 'raiseEpoch' | 'onEpoch'>,
  files: EpochFiles,
): Epoch {
  let at = files.read()
  // One found under an older name is kept under the newest too.
  if (at > 0) files.write(at)
  /** Rises with every connection: an answer of the one before says nothing. */
  let connection = 0
  let known = -1
  let flight: Promise<void> | undefined
  const learn = (told: EpochMs): void => {
    if (told <= at) return
    at = told
    files.write(at)
  }
  const take = (asked: number, told: EpochMs): void => {
    known = Math.max(known, asked)
    learn(told)
    // Older than ours: a snapshot. A store that cannot be written now is asked again soon.
    if (told < at) backend.raiseEpoch(at).catch(() => undefined)
  }
  const ask = (): void | Promise<void> => {
    const asked = connection
    const told = backend.readEpoch()
    return told instanceof Promise ? told.then((t) => take(asked, t)) : take(asked, told)
  }
  const settle = (): Promise<void> | undefined => {
    if (known === connection) return undefined
    if (flight !== undefined) return flight
    const asked = ask()
    if (!(asked instanceof Promise)) return undefined
    const mine: Promise<void> = asked.finally(() => {
      if (flight === mine) flight = undefined
    })
    flight = mine
    return mine
  }
  const quietly = (work: () => unknown): void => {
    try {
      const done = work()
      if (done instanceof Promise) done.catch(() => undefined)
    } catch {
      // The store is away, which whoever asks for a session reports.
    }
  }
  const stop = backend.onEpoch((told) => {
    if (told !== 'unknown') {
      learn(told)
      return
    }
    connection += 1
    flight = undefined
    quietly(settle)
  })
  quietly(settle)
  const timer = setInterval(() => quietly(ask), ASK_AGAIN_MS).unref()
  return {
    revokedBefore: () => at,
    settle,
    raise: async (next) => {
      learn(await backend.raiseEpoch(next))
      // Where it stood already, the file may be missing all the same.
      files.write(at)
    },
    close: () => {
      clearInterval(timer)
      stop()
    },
  }
}
