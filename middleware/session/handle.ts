import { createHash } from 'node:crypto'
import type { Handle, SessionId } from '../types.ts'

/** A new session's id: 256 random bits, base64url. Whoever knows it and the signing key is the user, so it goes nowhere but into the cookie. */
export function newSessionId(random: (bytes: number) => Uint8Array): SessionId {
  return Buffer.from(random(32)).toString('base64url') as SessionId
}

/** What others may know of a session: 128 bits of a one-way function of its id, the same on every replica. */
export function handleOf(id: SessionId): Handle {
  return createHash('sha256')
    .update('traefik-bff handle|')
    .update(id)
    .digest()
    .subarray(0, 16)
    .toString('base64url') as Handle
}
