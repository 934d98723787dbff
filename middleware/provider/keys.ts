import { createHash } from 'node:crypto'
import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
  type RemoteJWKSet,
} from 'jose'
import type { ServerMetadata } from 'openid-client'
import { CLOCK_TOLERANCE_S } from './auth-age.ts'
import { recordingFetch } from './exchange.ts'
import type { Fetch } from './types.ts'

/** Never `none`, never HS*: a public key must not become a shared secret (CVE-2015-9235). */
const ASYMMETRIC = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'ML-DSA-44',
  'ML-DSA-65',
  'ML-DSA-87',
]

export interface Keys {
  readonly uri: string
  readonly set: RemoteJWKSet
  /** What the provider announces for id tokens, without what is never accepted. */
  readonly algorithms: readonly string[]
  /** Fetches the keys anew, for an unknown `kid` or a wrong signature; false where that was done too often lately for its like. */
  reload(nowMs: number, why: 'kid' | 'signature'): Promise<boolean>
}

/**
 * One key set for id tokens, logout tokens and JWT access tokens. jose's rather than openid-client's: that one refuses an
 * unknown `kid` for a minute after every fetch, in which a rotated key would fail each login with a spent code.
 */
export function createKeys(md: ServerMetadata, fetch: Fetch, timeoutMs: number): Keys {
  const uri = md.jwks_uri ?? ''
  const announced = md.id_token_signing_alg_values_supported ?? ['RS256']
  // Each its own: whoever sends wrong signatures must not keep new keys from being found.
  const mayReload = { kid: createAllowance(3, 5_000), signature: createAllowance(3, 5_000) }
  const set = createRemoteJWKSet(new URL(uri), {
    timeoutDuration: timeoutMs,
    cooldownDuration: 5_000,
    cacheMaxAge: 600_000,
    [customFetch]: (url, init) =>
      recordingFetch(fetch, { into: {}, nowMs: Date.now() })(url, {
        ...init,
        headers: Object.fromEntries(init.headers.entries()),
        body: undefined,
      }),
  })
  return {
    uri,
    set,
    reload: async (nowMs, why) => {
      if (!mayReload[why](nowMs)) return false
      await set.reload()
      return true
    },
    algorithms: announced.filter((a) => ASYMMETRIC.includes(a)),
  }
}

/** So many at once, then one in every `perMs`: keys that rotate are found at once, made-up `kid`s cost the issuer little. */
function createAllowance(most: number, perMs: number): (nowMs: number) => boolean {
  let left = most
  let since = 0
  return (nowMs) => {
    left = Math.min(most, left + Math.max(0, nowMs - since) / perMs)
    since = nowMs
    if (left < 1) return false
    left -= 1
    return true
  }
}

export type Verified =
  | {
      readonly kind: 'verified'
      readonly claims: JWTPayload
      readonly header: { readonly alg: string; readonly typ?: string }
    }
  | { readonly kind: 'rejected'; readonly reason: string; readonly unknownKey: boolean; readonly otherKey: boolean }
  | { readonly kind: 'unverifiable'; readonly reason: string }

/** Signature, time and whatever `checks` name. Reasons carry jose's code and the claim's name, never a value. */
export async function verifySigned(keys: Keys, jwt: string, nowMs: number, checks: Checks): Promise<Verified> {
  const first = await tryKeys(keys, jwt, nowMs, checks)
  if (first.kind !== 'rejected' || !(first.unknownKey || first.otherKey)) return first
  // jose fetches again by itself, but not within five seconds of the last time: a key may rotate any moment. Some providers
  // give the new one the name of the old, which then is a wrong signature.
  const fresh = await keys
    .reload(nowMs, first.otherKey ? 'signature' : 'kid')
    .catch((e: unknown) => (first.otherKey ? false : judge(e)))
  return fresh === true ? tryKeys(keys, jwt, nowMs, checks) : fresh === false ? first : fresh
}

type Checks = JWTVerifyOptions & { readonly anyAlgorithm?: boolean }

async function tryKeys(keys: Keys, jwt: string, nowMs: number, checks: Checks): Promise<Verified> {
  const { anyAlgorithm, ...rest } = checks
  try {
    const { payload, protectedHeader } = await jwtVerify(jwt, keys.set, {
      ...rest,
      algorithms: anyAlgorithm === true ? ASYMMETRIC : [...keys.algorithms],
      currentDate: new Date(nowMs),
      clockTolerance: CLOCK_TOLERANCE_S,
    })
    const { alg, typ } = protectedHeader
    return { kind: 'verified', claims: payload, header: typ === undefined ? { alg } : { alg, typ } }
  } catch (e) {
    return judge(e)
  }
}

function judge(e: unknown): Verified {
  if (
    !(e instanceof errors.JOSEError) ||
    e instanceof errors.JWKSTimeout ||
    e instanceof errors.JWKSInvalid ||
    e.code === 'ERR_JOSE_GENERIC'
  ) {
    return { kind: 'unverifiable', reason: 'the signing keys cannot be fetched' }
  }
  const claim = e instanceof errors.JWTClaimValidationFailed || e instanceof errors.JWTExpired ? ` (${e.claim})` : ''
  return {
    kind: 'rejected',
    reason: `${e.code}${claim}`,
    unknownKey: e instanceof errors.JWKSNoMatchingKey,
    otherKey: e instanceof errors.JWSSignatureVerificationFailed,
  }
}

/** OpenID Connect Core §3.1.3.6: left half of the hash that belongs to the signature's algorithm. */
export function hashMatches(value: string, expected: unknown, alg: string): boolean {
  const name = alg === 'EdDSA' || alg === 'Ed25519' ? 'sha512' : `sha${alg.slice(-3)}`
  if (!['sha256', 'sha384', 'sha512'].includes(name)) return false
  const digest = createHash(name).update(value, 'ascii').digest()
  return expected === digest.subarray(0, digest.length / 2).toString('base64url')
}
