import { createRequire } from 'node:module'
import type * as Zod from 'zod'
import { loadLater } from '../load-later.ts'

const require = createRequire(import.meta.url)

/** zod without its messages in 60 languages, a file each: what we say of a fault is written in issues.ts. */
function load(): typeof Zod.z {
  loadLater(require, require.resolve('zod/v4/locales'))
  return (require('zod') as typeof Zod).z
}

export const z = load()
