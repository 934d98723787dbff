import { hkdfSync } from 'node:crypto'
import type { Secret } from '../types.ts'

/**
 * A 256-bit key for one purpose, from one secret (HKDF-SHA256, RFC 5869). The purpose is the `info`, so that keys for
 * cookies, CSRF tokens, login attempts and the vault say nothing about one another.
 */
export function deriveKey(from: Secret, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', from.reveal(), 'traefik-bff', purpose, 32))
}

/** One key a secret, in the secrets' order: the first makes, all verify. */
export function deriveKeys(from: readonly Secret[], purpose: string): readonly Buffer[] {
  return from.map((s) => deriveKey(s, purpose))
}
