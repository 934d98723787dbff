/** A part that neither the start nor a check needs. */
export interface Late<T> {
  /** undefined until it is loaded. */
  readonly now: () => T | undefined
  /** Loads it, where nobody has. Where that fails, the next call tries again. */
  readonly load: () => Promise<T>
}

/** Whatever is loaded once the listeners are up, or by whoever wants it before: importing it is most of a start. */
export function createLate<T>(make: () => Promise<T>): Late<T> {
  let made: T | undefined
  let loading: Promise<T> | undefined
  const begin = async (): Promise<T> => {
    try {
      return (made = await make())
    } catch (e) {
      loading = undefined
      throw e
    }
  }
  return { now: () => made, load: () => (loading ??= begin()) }
}

/** Resolves in a later turn of the loop. Importing holds everything up, so between two parts what has come is answered. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
