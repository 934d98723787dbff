import type { AssertionKey } from '../identity/assertion-keys.ts'
import type { Answer } from '../types.ts'

/**
 * `GET /auth/jwks`: the public keys of the signed identity assertion, the same on every replica (RFC 7517 §5). They change
 * only when `session.secret` does; verifiers ask again at an unknown `kid`.
 */
export function jwks(keys: readonly AssertionKey[]): Answer {
  const body = JSON.stringify({ keys: keys.map((k) => k.public) })
  return {
    status: 200,
    headers: [
      ['Content-Type', 'application/jwk-set+json'],
      ['Cache-Control', 'public, max-age=300'],
      ['Content-Length', String(Buffer.byteLength(body))],
    ],
    body,
  }
}
