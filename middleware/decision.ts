import type { Code, LoginCode } from './types.ts'

/**
 * The one table from code to status. Texts for people stand in pages/texts.ts under the same codes.
 * An outage is 503 with Retry-After; no error is ever a yes.
 */
const STATUS: Readonly<Record<Code | LoginCode, number>> = {
  NO_SESSION: 401,
  SESSION_EXPIRED: 401,
  STEP_UP_REQUIRED: 401,
  NO_TOKEN_AVAILABLE: 401,
  UPSTREAM_REJECTED_TOKEN: 401,
  NO_ROUTE: 403,
  FORBIDDEN: 403,
  CSRF_FAILED: 403,
  BAD_REQUEST: 400,
  RATE_LIMITED: 429,
  STORE_UNAVAILABLE: 503,
  PROVIDER_UNAVAILABLE: 503,
  UPSTREAM_UNAVAILABLE: 502,
  // The callback, before the code is redeemed.
  LOGIN_UNKNOWN: 400,
  LOGIN_EXPIRED: 400,
  LOGIN_REPLAYED: 400,
  LOGIN_ISSUER_MISMATCH: 400,
  // The way back from a sign-out at the provider.
  LOGOUT_STATE_MISMATCH: 400,
  // After it.
  LOGIN_FAILED: 502,
  LOGIN_NOT_ALLOWED: 403,
  // RFC 6749 §4.1.2.1
  INVALID_REQUEST: 400,
  UNAUTHORIZED_CLIENT: 403,
  ACCESS_DENIED: 403,
  UNSUPPORTED_RESPONSE_TYPE: 400,
  INVALID_SCOPE: 400,
  SERVER_ERROR: 502,
  TEMPORARILY_UNAVAILABLE: 503,
  // OpenID Connect Core §3.1.2.6
  INTERACTION_REQUIRED: 401,
  LOGIN_REQUIRED: 401,
  ACCOUNT_SELECTION_REQUIRED: 401,
  CONSENT_REQUIRED: 401,
  INVALID_REQUEST_URI: 400,
  INVALID_REQUEST_OBJECT: 400,
  REQUEST_NOT_SUPPORTED: 400,
  REQUEST_URI_NOT_SUPPORTED: 400,
  REGISTRATION_NOT_SUPPORTED: 400,
  // RFC 6749 §5.2, of an extension grant
  UNSUPPORTED_GRANT_TYPE: 502,
  // RFC 8707 §2
  INVALID_TARGET: 400,
  PROVIDER_ERROR: 502,
  // A bug of ours.
  INTERNAL_ERROR: 500,
}

/** The HTTP status that goes with a code. */
export function statusOf(code: Code | LoginCode): number {
  return STATUS[code]
}

/** What a provider may say on the callback: RFC 6749 §4.1.2.1 and OpenID Connect Core §3.1.2.6. */
export const PROVIDER_ERRORS: ReadonlyMap<string, LoginCode> = new Map<string, LoginCode>(
  (
    [
      'INVALID_REQUEST',
      'UNAUTHORIZED_CLIENT',
      'ACCESS_DENIED',
      'UNSUPPORTED_RESPONSE_TYPE',
      'INVALID_SCOPE',
      'SERVER_ERROR',
      'TEMPORARILY_UNAVAILABLE',
      'INTERACTION_REQUIRED',
      'LOGIN_REQUIRED',
      'ACCOUNT_SELECTION_REQUIRED',
      'CONSENT_REQUIRED',
      'INVALID_REQUEST_URI',
      'INVALID_REQUEST_OBJECT',
      'REQUEST_NOT_SUPPORTED',
      'REQUEST_URI_NOT_SUPPORTED',
      'REGISTRATION_NOT_SUPPORTED',
      'INVALID_TARGET',
    ] satisfies LoginCode[]
  ).map((code) => [code.toLowerCase(), code]),
)

/** All codes, for tests that want a page and a text for each. */
export const ALL_CODES = Object.keys(STATUS) as readonly (Code | LoginCode)[]
