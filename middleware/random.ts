import { randomFillSync } from 'node:crypto'

const POOL = 4096
/** What is longer than this gets bytes of its own. */
const LONGEST = 32

/**
 * Random bytes from the system's generator, fetched a few kilobytes at a time: one call costs as much as a whole check does
 * otherwise. No byte is given out twice.
 */
export function createRandom(): (bytes: number) => Uint8Array {
  let pool = new Uint8Array(0)
  let at = 0
  return (bytes) => {
    if (bytes > LONGEST) return randomFillSync(new Uint8Array(bytes))
    if (at + bytes > pool.length) {
      pool = randomFillSync(new Uint8Array(POOL))
      at = 0
    }
    const taken = pool.slice(at, at + bytes)
    // What was given out is the taker's alone.
    pool.fill(0, at, at + bytes)
    at += bytes
    return taken
  }
}
