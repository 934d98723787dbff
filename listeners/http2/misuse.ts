import type { Clock } from '../../middleware/types.ts'
import { ConnectionError, ENHANCE_YOUR_CALM } from './protocol.ts'

/** A bucket that leaks: what costs us and is no request (resets, errors, pings) may come in bursts, and seldom for ever. */
export class Misuse {
  private readonly burst: number
  private readonly perS: number
  private readonly clock: Clock
  private count = 0
  private since: number

  constructor(burst: number, perS: number, clock: Clock) {
    this.burst = burst
    this.perS = perS
    this.clock = clock
    this.since = clock.monoMs()
  }

  /** @throws ConnectionError where it runs over. */
  add(): void {
    this.count += 1
    if (this.count <= this.burst) return
    const now = this.clock.monoMs()
    this.count = Math.max(0, this.count - ((now - this.since) * this.perS) / 1000)
    this.since = now
    if (this.count > this.burst) throw new ConnectionError(ENHANCE_YOUR_CALM, 'misuse')
  }
}
