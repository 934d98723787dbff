import type { Clock, EpochMs } from './types.ts'

/** The machine's clocks: wall time for expiry, monotonic time for leases and deadlines, which a jumping clock must not touch. */
export const systemClock: Clock = {
  wallMs: () => Date.now() as EpochMs,
  monoMs: () => performance.now(),
  sleep: (ms, stop) =>
    new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        stop?.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      stop?.addEventListener('abort', done, { once: true })
      if (stop?.aborted === true) done()
    }),
}
