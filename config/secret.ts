import type { Secret } from './types.ts'

const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/**
 * Wraps a secret so that `JSON.stringify`, template strings, pino and `util.inspect` all show `[secret]`.
 * Only `reveal()` gives the text, so a reader can find every use of it by name.
 */
export function secret(text: string): Secret {
  const hidden = (): '[secret]' => '[secret]'
  const wrapped = { reveal: () => text, toJSON: hidden, toString: hidden }
  Object.defineProperty(wrapped, INSPECT, { value: hidden })
  return wrapped
}
