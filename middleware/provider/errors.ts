/** The provider does not answer, in time or with sense: its trouble, not the user's. Becomes PROVIDER_UNAVAILABLE. */
export class ProviderUnavailable extends Error {
  readonly code = 'PROVIDER_UNAVAILABLE'
  override readonly name = 'ProviderUnavailable'
  readonly retryAfterS: number

  constructor(detail: string, retryAfterS: number) {
    super(detail)
    this.retryAfterS = retryAfterS
  }
}

export type RejectedStage = 'authorization' | 'token' | 'id_token' | 'userinfo' | 'logout_token' | 'access_token'

/**
 * A clear no: the provider's OAuth error code, or a check of ours that failed (`invalid_id_token`, `invalid_response`,
 * `issuer_mismatch`, …). The message names claims and codes, never a token's text.
 */
export class ProviderRejected extends Error {
  override readonly name = 'ProviderRejected'
  readonly code: string
  readonly stage: RejectedStage

  constructor(stage: RejectedStage, code: string, detail: string) {
    super(detail)
    this.stage = stage
    this.code = code
  }
}

/** `error` of an OAuth answer is ASCII without quotes (RFC 6749 §5.2); anything else is not repeated into logs. */
export function safeErrorCode(value: unknown): string | undefined {
  return typeof value === 'string' && /^[\x20-\x21\x23-\x5b\x5d-\x7e]{1,80}$/.test(value) ? value : undefined
}

/** `error_description` for the operator: printable, short, and without anything long enough to be a token or a code. */
export function safeDescription(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  return value
    .replace(/[^\x20-\x7e]/g, ' ')
    .replace(/[\w\-.~+/=]{24,}/g, '[cut]')
    .slice(0, 200)
}
