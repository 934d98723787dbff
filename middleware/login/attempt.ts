import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Settings } from '../../config/types.ts'
import type { EpochMs } from '../types.ts'

/** A sign-in must be finished within this time. */
export const ATTEMPT_LIFE_MS = 10 * 60_000
/** So many may be under way in one browser; the oldest goes first. */
export const MAX_ATTEMPTS = 5
const ATTEMPT_COOKIE = 'bff_login_'
/** Left in place of a finished attempt, so that going back to the callback's address gets the right page. */
export const USED = 'used'

/** What must survive the way through the provider. */
export interface Attempt {
  /** 256 bits, base64url: everything secret is derived from it and session.secret. */
  readonly random: string
  readonly startedAt: EpochMs
  readonly returnTo: string
  readonly provider: string
  /** Asked for by a step-up; coming back with less is a no, not a loop. */
  readonly acrValues?: string
  readonly maxAgeS?: number
}

export interface Derived {
  /** Suffix of the cookie's name: the beginning of `state`. */
  readonly name: string
  readonly state: string
  readonly nonce: string
  /** RFC 7636: 43 characters. It never leaves the server. */
  readonly codeVerifier: string
}

/**
 * Binds an attempt to one registration: issuer, client and redirect URI. A callback of another environment (R20) finds no
 * attempt even where two environments share a secret.
 */
export interface AttemptContext {
  readonly issuer: string
  readonly clientId: string
  readonly redirectUri: string
}

/** state, nonce and verifier: each its own HMAC of the attempt's random, so none tells another. */
export function deriveAttempt(random: string, key: Buffer, at: AttemptContext): Derived {
  const part = (label: string): string =>
    createHmac('sha256', key)
      .update(JSON.stringify([label, random, at.issuer, at.clientId, at.redirectUri]))
      .digest('base64url')
  const state = part('state')
  return { name: state.slice(0, 10), state, nonce: part('nonce'), codeVerifier: part('code_verifier') }
}

/** The cookie's value: the attempt, readable, and its MAC. */
export function sealAttempt(a: Attempt, key: Buffer): string {
  const payload = Buffer.from(
    JSON.stringify([a.random, a.startedAt, a.returnTo, a.provider, a.acrValues ?? null, a.maxAgeS ?? null]),
  ).toString('base64url')
  return `${payload}.${macOf(payload, key).toString('base64url')}`
}

/** The attempt in a cookie, with the key that sealed it; undefined for anything that is not ours. */
export function openAttempt(
  value: string,
  keys: readonly Buffer[],
): { readonly attempt: Attempt; readonly key: Buffer } | undefined {
  const [payload, mac, more] = value.split('.')
  if (payload === undefined || mac === undefined || more !== undefined || value.length > 4096) return undefined
  const given = Buffer.from(mac, 'base64url')
  const key = keys.find((k) => given.length === 32 && timingSafeEqual(given, macOf(payload, k)))
  if (key === undefined) return undefined
  const parsed = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as [
    string,
    EpochMs,
    string,
    string,
    string | null,
    number | null,
  ]
  const [random, startedAt, returnTo, provider, acrValues, maxAgeS] = parsed
  return {
    key,
    attempt: {
      random,
      startedAt,
      returnTo,
      provider,
      ...(acrValues === null ? {} : { acrValues }),
      ...(maxAgeS === null ? {} : { maxAgeS }),
    },
  }
}

function macOf(payload: string, key: Buffer): Buffer {
  return createHmac('sha256', key).update('attempt|').update(payload).digest()
}

/** Where a browser keeps attempts. */
export interface AttemptPlace {
  /** Of the cookies' names; the beginning of `state` follows. */
  readonly prefix: string
  /** Lists the attempts' names where the callback's cookies cannot be seen: they live on the callback's path. */
  readonly index: string
  readonly callbackPath: string
  readonly loginPath: string
}

/**
 * A session cookie with `__Host-` wants the same of these (RFC 6265bis §4.1.3.2): a sibling subdomain can then plant none, and
 * nobody is signed in to an account that is not theirs (login CSRF). Such a cookie has `Path=/`.
 */
export function attemptPlace(settings: Pick<Settings, 'server' | 'session'>): AttemptPlace {
  const { basePath } = settings.server
  const host = /^__host-/i.test(settings.session.cookieName)
  const prefix = `${host ? '__Host-' : ''}${ATTEMPT_COOKIE}`
  return {
    prefix,
    index: `${prefix}index`,
    callbackPath: host ? '/' : `${basePath}/callback`,
    loginPath: host ? '/' : `${basePath}/login`,
  }
}

/** SameSite=Lax: the provider's redirect back is a cross-site top-level navigation, which Lax lets through. */
export function attemptCookie(name: string, value: string, path: string, maxAgeS: number): string {
  return `${name}=${value}; Path=${path}; Max-Age=${maxAgeS}; HttpOnly; SameSite=Lax; Secure`
}

/** Cookies that a login start sets: the attempt, the index with it, and the removal of those that are one too many. */
export function startCookies(
  derivedName: string,
  sealed: string,
  index: string | undefined,
  place: AttemptPlace,
): string[] {
  const known = (index ?? '').split('.').filter((n) => /^[\w-]{10}$/.test(n) && n !== derivedName)
  const all = [...known, derivedName]
  const out = all.slice(0, Math.max(0, all.length - MAX_ATTEMPTS))
  const seconds = ATTEMPT_LIFE_MS / 1000
  return [
    attemptCookie(place.prefix + derivedName, sealed, place.callbackPath, seconds),
    attemptCookie(place.index, all.slice(-MAX_ATTEMPTS).join('.'), place.loginPath, seconds),
    ...out.slice(-20).map((n) => attemptCookie(place.prefix + n, '', place.callbackPath, 0)),
  ]
}
