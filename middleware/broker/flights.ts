/** Work that several callers want at once, done once; and work on one key, one after another. */
export interface Flights<T> {
  /** The flight under way for the key, or a new one. */
  fly(key: string, work: () => Promise<T>): Promise<T>
  has(key: string): boolean
  /** After everything that was queued for `lane` before. */
  inLane<R>(lane: string, work: () => Promise<R>): Promise<R>
  /** Resolves when nothing is under way any more. */
  settled(): Promise<void>
}

export function createFlights<T>(): Flights<T> {
  const flights = new Map<string, Promise<T>>()
  const lanes = new Map<string, Promise<unknown>>()
  return {
    has: (key) => flights.has(key),
    fly: (key, work) => {
      const known = flights.get(key)
      if (known !== undefined) return known
      const flight = work().finally(() => flights.delete(key))
      flights.set(key, flight)
      // Whoever waits gets the rejection; a flight that nobody waits for any more must not end the process.
      flight.catch(() => undefined)
      return flight
    },
    inLane: (lane, work) => {
      const before = lanes.get(lane) ?? Promise.resolve()
      const mine = before.then(work, work)
      const tail = mine
        .catch(() => undefined)
        .finally(() => {
          if (lanes.get(lane) === tail) lanes.delete(lane)
        })
      lanes.set(lane, tail)
      return mine
    },
    settled: async () => {
      while (flights.size + lanes.size > 0) await Promise.allSettled([...flights.values(), ...lanes.values()])
    },
  }
}
