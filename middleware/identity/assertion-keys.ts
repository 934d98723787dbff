import { createECDH, createHash, createPrivateKey, type KeyObject } from 'node:crypto'
import type { Secret } from '../types.ts'
import { deriveKey } from '../session/keys.ts'

/** A public key as JWKS say it (RFC 7517, RFC 7518 §6.2). */
export interface PublicJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
  readonly use: 'sig'
  readonly alg: 'ES256'
  /** Its thumbprint (RFC 7638), so that the same key has the same name on every replica. */
  readonly kid: string
}

export interface AssertionKey {
  readonly private: KeyObject
  readonly public: PublicJwk
}

/** Order of the base point of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3). */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

/**
 * One key a session secret, in the secrets' order: the first signs, all are published. They follow from the secrets alone, so
 * all replicas have the same ones, at once and while the store is down, and a rotated secret rotates them. ES256, since
 * every JWT library verifies it.
 */
export function deriveAssertionKeys(secrets: readonly Secret[]): readonly AssertionKey[] {
  return secrets.map(deriveAssertionKey)
}

/** 512 bits reduced to a scalar: the surplus takes away the bias of the modulus (FIPS 186-5 A.2.1). */
function deriveAssertionKey(from: Secret): AssertionKey {
  const wide = Buffer.concat([1, 2].map((half) => deriveKey(from, `identity assertion ${half}`)))
  const d = (BigInt(`0x${wide.toString('hex')}`) % (ORDER - 1n)) + 1n
  const scalar = Buffer.from(d.toString(16).padStart(64, '0'), 'hex')
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(scalar)
  const point = curve.getPublicKey()
  const [x, y] = [point.subarray(1, 33).toString('base64url'), point.subarray(33).toString('base64url')]
  const kid = createHash('sha256')
    .update(JSON.stringify({ crv: 'P-256', kty: 'EC', x, y }))
    .digest('base64url')
  const jwk = { kty: 'EC', crv: 'P-256', x, y } as const
  return {
    private: createPrivateKey({ format: 'jwk', key: { ...jwk, d: scalar.toString('base64url') } }),
    public: { ...jwk, use: 'sig', alg: 'ES256', kid },
  }
}
