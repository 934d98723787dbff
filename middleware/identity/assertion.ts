import { sign } from 'node:crypto'
import { BoundedMap } from '../bounded-map.ts'
import type { PublicUrl, Settings } from '../../config/types.ts'
import type { Claims, Emit, EpochMs, LiveSession } from '../types.ts'
import type { AssertionKey } from './assertion-keys.ts'
import { claimAt, groupsOf, textsOf } from './claims.ts'
import { ASSERTION_HEADER, PRESETS } from './header-names.ts'

/** Who is told of: what a user's session and a machine's token have in common. */
export interface Who {
  readonly claims: Claims
  readonly sub: string
  readonly issuer: string
  readonly session: LiveSession | undefined
  /** When what proves it ends. */
  readonly expiresAt: EpochMs
}

/** The `X-Identity-Assertion` for one service; undefined service: a route without one. */
export type Assertion = (who: Who, service: string | undefined) => string

/** Its own type, so that no verifier of access tokens or id tokens takes it for one (RFC 8725 §3.11). */
export const ASSERTION_TYPE = 'bff-identity+jwt'

interface Kept {
  readonly jwt: string
  readonly version: number
  readonly freshUntil: number
}

/** Sessions and services whose assertion is at hand; about 1 KB each. */
const MAX_KEPT = 10_000

/**
 * Signs who somebody is for one service: ES256, synchronous, and kept for half its life, so that a busy session costs one
 * signature each half `ttl`. A new version of the session (other claims) is signed anew. Machines are signed each time.
 *
 * @param keys the first signs.
 */
export function createAssertion(
  settings: Settings,
  keys: readonly AssertionKey[],
  now: () => EpochMs,
  emit: Emit,
): Assertion {
  const key = keys[0]
  if (key === undefined) throw new Error('no key to sign assertions with')
  const { ttlMs } = settings.identity.assertion
  const kept = new BoundedMap<string, Kept>(MAX_KEPT)
  const header = encode({ alg: 'ES256', typ: ASSERTION_TYPE, kid: key.public.kid })
  const make = (who: Who, service: string | undefined, at: EpochMs): string => {
    const text = `${header}.${encode(buildClaims(who, service, settings, at, emit))}`
    const signature = sign('sha256', Buffer.from(text), { key: key.private, dsaEncoding: 'ieee-p1363' })
    return `${text}.${signature.toString('base64url')}`
  }
  return (who, service) => {
    const at = now()
    if (who.session === undefined) return make(who, service, at)
    const { version, record } = who.session
    const slot = `${record.handle} ${service ?? ''}`
    const before = kept.get(slot)
    if (before !== undefined && before.version === version && at < before.freshUntil && at > before.freshUntil - ttlMs)
      return before.jwt
    const jwt = make(who, service, at)
    kept.set(slot, { jwt, version, freshUntil: at + Math.min(ttlMs, who.expiresAt - at) / 2 })
    return jwt
  }
}

const encode = (o: object): string => Buffer.from(JSON.stringify(o)).toString('base64url')

function buildClaims(who: Who, service: string | undefined, settings: Settings, at: EpochMs, emit: Emit): Claims {
  const iat = Math.floor(at / 1000)
  const issuer = issuerOf(settings.server.publicUrls)
  const state = who.session?.state
  return {
    iss: issuer,
    aud: service === undefined ? issuer : (settings.services.get(service)?.audience ?? service),
    sub: who.sub,
    ...(who.session === undefined ? {} : { sid: who.session.record.handle }),
    iat,
    // Never longer than the session or the machine's token that it speaks for.
    exp: Math.floor(Math.min(at + settings.identity.assertion.ttlMs, Math.max(who.expiresAt, at + 1000)) / 1000),
    idp_iss: who.issuer,
    ...(state === undefined ? {} : { auth_time: Math.floor(state.authTime / 1000) }),
    ...(state?.acr === undefined ? {} : { acr: state.acr }),
    ...chosenClaims(who, service, settings, emit),
  }
}

/** What is said already, and no claim of the provider's may say otherwise. */
const RESERVED = new Set(['iss', 'aud', 'sub', 'sid', 'iat', 'exp', 'nbf', 'jti', 'idp_iss', 'auth_time', 'acr'])

/** What the chosen claims may take as JSON: with the rest of it, an assertion stays below the 8 KB of one header line. */
const MAX_CLAIMS_BYTES = 4096

function chosenClaims(who: Who, service: string | undefined, settings: Settings, emit: Emit): Claims {
  const chosen: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  let left = MAX_CLAIMS_BYTES
  for (const path of settings.identity.assertion.claims) {
    if (RESERVED.has(path) || !isTold(path, service, settings)) continue
    if (path === 'email' && saysUnverified(who.claims)) continue
    const groups = path === 'groups' ? groupsOf(who.claims, settings.identity.groupsClaim) : undefined
    const value = groups === undefined ? claimAt(who.claims, path) : groups.length === 0 ? undefined : groups
    if (value === undefined || value === null) continue
    const said = fitting(value, left - path.length)
    if (said !== value)
      emit({ name: 'header_dropped', fields: { header: ASSERTION_HEADER, claim: path, why: 'too long' } })
    if (said === undefined) continue
    chosen[path] = said
    left -= path.length + sizeOf(said)
  }
  return chosen
}

/** A value that fits; of a list of texts those that do; else undefined. */
function fitting(value: unknown, most: number): unknown {
  if (sizeOf(value) <= most) return value
  if (!Array.isArray(value) || !value.every((v) => typeof v === 'string')) return undefined
  let left = most - 2
  const kept = value.filter((v) => (left -= sizeOf(v) + 1) >= 0)
  return kept.length === 0 ? undefined : kept
}

const sizeOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value))

/** A service with a header list of its own learns no more from the assertion than from those headers (R23). */
function isTold(path: string, service: string | undefined, settings: Settings): boolean {
  const only = service === undefined ? undefined : settings.services.get(service)?.identityHeaders
  if (only === undefined) return true
  const { preset, map } = settings.identity
  const tells = new Map<string, string>(
    [...Object.entries(PRESETS[preset]), ...Object.entries(map)].map(([name, from]) => [name.toLowerCase(), from]),
  )
  return only.some((name) => tells.get(name.toLowerCase()) === path)
}

/** An address that the provider does not vouch for is somebody's claim to be somebody. */
export function saysUnverified(claims: Claims): boolean {
  return textsOf(claims['email_verified'])[0]?.toLowerCase() === 'false'
}

/** The first public origin: one name for all hosts, which an upstream configures once. Of a wildcard, its parent. */
export function issuerOf(urls: readonly PublicUrl[]): string {
  const url = urls.find((u) => !u.wildcard) ?? urls[0]
  if (url === undefined) throw new Error('no public_url')
  return `${url.protocol}//${url.hostname.replace(/^\*\./, '')}${url.port === '' ? '' : `:${url.port}`}`
}
