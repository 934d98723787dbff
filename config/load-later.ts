import { createRequire, Module } from 'node:module'

const { cache } = createRequire(import.meta.url)

/**
 * Has a CommonJS file of a library loaded at the first look at what it exports, where the library itself would load it at once.
 * Whoever looks finds what is there, as if it had been loaded before: this changes when, not what.
 *
 * Node's documentation allows for other entries in `require.cache`: this puts one there that loads the file and makes way for it.
 */
export function loadLater(require: NodeJS.Require, path: string): void {
  if (cache[path] !== undefined) return
  const real = (): object => {
    if (cache[path] === placeholder) Reflect.deleteProperty(cache, path)
    return require(path) as object
  }
  const placeholder = new Module(path)
  placeholder.loaded = true
  placeholder.exports = new Proxy<object>(
    {},
    {
      // Compiled code asks whether it was an ES module before it looks (TypeScript's `__importDefault`, `__importStar`).
      get: (_, name) => name === '__esModule' || (Reflect.get(real(), name) as unknown),
      has: (_, name) => Reflect.has(real(), name),
      ownKeys: () => Reflect.ownKeys(real()),
      getOwnPropertyDescriptor: (_, name) => {
        const found = Reflect.getOwnPropertyDescriptor(real(), name)
        return found && { ...found, configurable: true }
      },
    },
  )
  cache[path] = placeholder
}
