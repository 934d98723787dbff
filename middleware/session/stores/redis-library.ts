import { createRequire } from 'node:module'
import type { RedisClient, RedisFunctions, RedisModules, RedisScripts, TypeMapping } from '@redis/client'
import { loadLater } from '../../../config/load-later.ts'

/**
 * The one place that knows files of `@redis/client` by their path. Of its 480 files a client needs 50: the others are Cluster,
 * Sentinel and pools, which we have of our own, and a file for each command of Redis. Loading them, and a method for each
 * command on two classes, is half of a start.
 *
 * So the client's own file is loaded, and the list of the commands is one that loads itself when somebody looks into it.
 * Whoever does has all of them, as if it had been loaded at once: this changes when, not what. We do not: a command is sent by
 * its words (`sendCommand`), and `new` makes a client without a method for each, where the library's `createClient` adds them.
 *
 * A release of the library that moves these files fails here, at the import, with the path that is missing; one that looks
 * into the list by itself fails test/session/redis-library.test.ts.
 */
const CLIENT = '@redis/client/dist/lib/client/index.js'
const COMMANDS = '@redis/client/dist/lib/commands/index.js'

const require = createRequire(import.meta.url)

function loadClient(): typeof RedisClient {
  loadLater(require, require.resolve(COMMANDS))
  return (require(CLIENT) as { readonly default: typeof RedisClient }).default
}

const Library = loadClient()

type Plain = RedisClient<RedisModules, RedisFunctions, RedisScripts, 3, TypeMapping>

/** A client of the library without a method for each command: see above. */
export type Client = Pick<Plain, 'connect' | 'destroy' | 'isReady' | 'on' | 'sendCommand' | 'subscribe'>

export function createClient(options: Omit<NonNullable<Plain['options']>, 'RESP'>): Client {
  return new Library({ ...options, RESP: 3 })
}
