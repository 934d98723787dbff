import { systemClock } from '../../middleware/clock.ts'
import type { Clock, EpochMs } from '../../middleware/types.ts'

/** The machine's clock, which a test may move: wall time jumps, monotonic time goes on as it does. */
export function movableClock(): Clock & { jump(ms: number): void; reset(): void } {
  let offset = 0
  return {
    ...systemClock,
    wallMs: () => (Date.now() + offset) as EpochMs,
    jump: (ms) => {
      offset += ms
    },
    reset: () => {
      offset = 0
    },
  }
}
