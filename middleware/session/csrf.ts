import { createHmac, timingSafeEqual } from 'node:crypto'
import type { RequestFacts, SessionId } from '../types.ts'

const NONCE_BYTES = 12
const MAC_BYTES = 24

/** The readable, host-only cookie that carries the token to the SPA. */
export const CSRF_COOKIE = '_csrf_token'
export const CSRF_HEADER = 'x-csrf-token'

/**
 * A CSRF token bound to one session: nonce and HMAC over nonce and session id (OWASP's signed double submit, without need
 * of the cookie). It changes each time, so that compression leaks nothing of it (BREACH), and dies with the session.
 */
export function makeCsrfToken(id: SessionId, key: Buffer, random: (bytes: number) => Uint8Array): string {
  const nonce = Buffer.from(random(NONCE_BYTES))
  return Buffer.concat([nonce, mac(nonce, id, key)]).toString('base64url')
}

/** Whether `token` was made for this session under one of the keys. Constant time in what matters. */
export function checkCsrfToken(token: string, id: SessionId, keys: readonly Buffer[]): boolean {
  if (token.length !== 48) return false
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.length !== NONCE_BYTES + MAC_BYTES) return false
  const nonce = bytes.subarray(0, NONCE_BYTES)
  return keys.some((key) => timingSafeEqual(bytes.subarray(NONCE_BYTES), mac(nonce, id, key)))
}

/**
 * `Origin: null` of a page of ours: one whose Referrer-Policy is `no-referrer` (helmet's default) says no more of itself when
 * it sends a form. Fetch Metadata still tells where the form stands, and calls a sandboxed frame or a data: page cross-site.
 */
export function isUnnamedSelf(csrf: Pick<RequestFacts['csrf'], 'origin' | 'site'>): boolean {
  return csrf.origin === 'null' && csrf.site === 'same-origin'
}

function mac(nonce: Buffer, id: SessionId, key: Buffer): Buffer {
  return createHmac('sha256', key).update(nonce).update(id).digest().subarray(0, MAC_BYTES)
}
