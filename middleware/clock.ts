import type { Clock, EpochMs } from './types.ts'

// CLOCK_MONOTONIC itself, not counted from the start of this process: leases in a file are compared by several processes.
const SINCE_BOOT_MS = Number(process.hrtime.bigint() / 1000n) / 1000 - performance.now()

/** The machine's clocks: wall time for expiry, monotonic time for leases and deadlines, which a jumping clock must not touch. */
export const systemClock: Clock = {
  wallMs: () => Date.now() as EpochMs,
  monoMs: () => performance.now() + SINCE_BOOT_MS,
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
