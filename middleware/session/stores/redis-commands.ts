/** The commands that the store sends, by their words; replies are as RESP 3 has them. */
import type { Client } from './redis-library.ts'

export const get = (c: Client, key: string): Promise<string | null> => c.sendCommand(['GET', key])

export const del = (c: Client, key: string): Promise<number> => c.sendCommand(['DEL', key])

export const hGetAll = (c: Client, key: string): Promise<Record<string, string>> => c.sendCommand(['HGETALL', key])

export const sMembers = (c: Client, key: string): Promise<readonly string[]> => c.sendCommand(['SMEMBERS', key])

export const sRem = (c: Client, key: string, member: string): Promise<number> => c.sendCommand(['SREM', key, member])

/** null where NX stands against it. */
export const setFor = (c: Client, key: string, value: string, ttlMs: number, ...only: 'NX'[]): Promise<'OK' | null> =>
  c.sendCommand(['SET', key, value, 'PX', String(ttlMs), ...only])

export const publish = (c: Client, channel: string, message: string): Promise<number> =>
  c.sendCommand(['PUBLISH', channel, message])

export const evaluate = (
  c: Client,
  script: string,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> => c.sendCommand(['EVAL', script, String(keys.length), ...keys, ...args])

/** Each page of the keys of one server. */
export async function* scan(c: Client, match: string): AsyncGenerator<readonly string[]> {
  let cursor = '0'
  do {
    const [next, keys] = await c.sendCommand<[string, string[]]>(['SCAN', cursor, 'MATCH', match, 'COUNT', '500'])
    cursor = next
    yield keys
  } while (cursor !== '0')
}

export const configGet = (c: Client, name: string): Promise<Record<string, string>> =>
  c.sendCommand(['CONFIG', 'GET', name])

export const info = (c: Client, section: string): Promise<string> => c.sendCommand(['INFO', section])
