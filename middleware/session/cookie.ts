import { sign, unsign } from 'cookie-signature'
import { BoundedMap } from '../bounded-map.ts'
import type { SessionId } from '../types.ts'

const SIGNED = 's:'
/** `s:` + 43 characters of id + `.` + 43 of HMAC-SHA256 in base64; percent-encoding may triple a few of them. */
const LONGEST = 400

/**
 * Reads the session id out of the signed cookie as express-session writes it (`s:<id>.<hmac>`, percent-encoded).
 * Undefined for anything malformed, oversized or not signed with one of `keys`: a planted cookie says nothing.
 */
export function readSessionCookie(raw: string, keys: readonly string[]): SessionId | undefined {
  if (raw.length > LONGEST) return undefined
  const proven = provenUnder(keys)
  const before = proven.get(raw)
  if (before !== undefined) return before
  const id = checkSigned(raw, keys)
  if (id === undefined) return undefined
  proven.set(raw, id)
  return id
}

/** Signatures that were checked need no second check: the very text, byte for byte, under these very keys. Only good ones. */
const MOST_PROVEN = 10_000
const provenByKeys = new WeakMap<readonly string[], BoundedMap<string, SessionId>>()

function provenUnder(keys: readonly string[]): BoundedMap<string, SessionId> {
  let proven = provenByKeys.get(keys)
  if (proven === undefined) provenByKeys.set(keys, (proven = new BoundedMap<string, SessionId>(MOST_PROVEN)))
  return proven
}

function checkSigned(raw: string, keys: readonly string[]): SessionId | undefined {
  const value = decode(raw)
  if (value?.startsWith(SIGNED) !== true) return undefined
  const signed = value.slice(SIGNED.length)
  for (const key of keys) {
    const id = unsign(signed, key)
    if (id !== false && /^[\w-]{20,64}$/.test(id)) return id as SessionId
  }
  return undefined
}

/** What express-session would set for this id: for tests, and for whoever must speak of the cookie without it. */
export function writeSessionCookie(id: SessionId, key: string): string {
  return encodeURIComponent(SIGNED + sign(id, key))
}

function decode(raw: string): string | undefined {
  if (!raw.includes('%')) return raw
  try {
    return decodeURIComponent(raw)
  } catch {
    return undefined
  }
}

/**
 * Splits `Cookie` lines into name and raw value, in order (RFC 6265 §5.4; several lines as Traefik, nginx and HTTP/2 send
 * them). Nothing is decoded: the signature is over the text as it came.
 */
export function eachCookie(lines: readonly string[], visit: (name: string, value: string, pair: string) => void): void {
  for (const line of lines) {
    for (let at = 0; at < line.length;) {
      const semicolon = line.indexOf(';', at)
      const end = semicolon === -1 ? line.length : semicolon
      const pair = line.slice(at, end).trim()
      at = end + 1
      if (pair === '') continue
      const eq = pair.indexOf('=')
      const name = eq === -1 ? '' : pair.slice(0, eq).trim()
      visit(name, unquote(eq === -1 ? pair : pair.slice(eq + 1).trim()), pair)
    }
  }
}

function unquote(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
}
