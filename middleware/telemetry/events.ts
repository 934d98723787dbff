import type { Claims } from '../types.ts'

type Level = 'debug' | 'info' | 'warn' | 'error'

interface EventKind {
  readonly level: Level | ((f: Claims) => Level)
  /** Fixed text, or made from the event's fields. Operators grep for these: contract.md holds them to the letter. */
  readonly msg: string | ((f: Claims) => string)
}

const named = (text: string) => (f: Claims) => `${text} service=${String(f['service'])}`

/** One table of events: what is logged, at which level, in which words. Metrics of the same events are in metrics.ts. */
export const EVENTS: Readonly<Record<string, EventKind>> = {
  // R10, R11, R12
  no_token_available: { level: 'warn', msg: named('NO_TOKEN_AVAILABLE') },
  token_found: { level: 'info', msg: named('token_found=True') },
  bff_service_tokens_mapped: { level: 'info', msg: 'bff_service_tokens_mapped' },
  session_status: { level: 'info', msg: 'Session status check successful' },
  upstream_rejected_token: { level: 'warn', msg: named('upstream_rejected_token') },
  upstream_unavailable: { level: 'warn', msg: 'upstream_unavailable' },
  // audit
  login_ok: { level: 'info', msg: 'login_ok' },
  login_failed: { level: 'warn', msg: (f) => `login_failed code=${String(f['code'])}` },
  session_ended: { level: 'info', msg: (f) => `session_ended reason=${String(f['reason'])}` },
  access_denied: { level: 'warn', msg: (f) => `access_denied route=${String(f['route'])}` },
  // boundary
  bearer_rejected: { level: 'warn', msg: (f) => `bearer_rejected route=${String(f['route'])}` },
  bearer_issuer_down: { level: 'error', msg: 'bearer_issuer_down' },
  bearer_issuer_up: { level: 'warn', msg: 'bearer_issuer_up' },
  untrusted_peer: { level: 'warn', msg: (f) => `untrusted_peer peer=${String(f['peer'])}` },
  client_address_unknown: { level: 'warn', msg: (f) => `client_address_unknown peer=${String(f['peer'])}` },
  request_refused: { level: 'warn', msg: 'request_refused' },
  access: { level: 'info', msg: 'access' },
  rate_limited: { level: 'warn', msg: 'rate_limited' },
  group_dropped: { level: 'warn', msg: 'group_dropped' },
  header_dropped: { level: 'warn', msg: 'header_dropped' },
  // outages: one line when it begins, one when it ends, whoever sees the first sees the second
  store_down: { level: 'error', msg: 'store_down' },
  store_up: { level: 'warn', msg: 'store_up' },
  store_warning: { level: 'warn', msg: 'store_warning' },
  provider_down: { level: 'error', msg: 'provider_down' },
  // At the start nothing has ended: a line without its begin would only wake somebody.
  provider_up: { level: (f) => (f['first'] === true ? 'debug' : 'warn'), msg: 'provider_up' },
  redirect_uris: { level: 'info', msg: 'redirect_uris' },
  // tokens
  token_refresh: { level: 'debug', msg: 'token_refresh' },
  token_dropped: { level: 'warn', msg: (f) => `token_dropped service=${String(f['service'])}` },
  token_request_failed: { level: 'warn', msg: (f) => `token_request_failed service=${String(f['service'])}` },
  id_token_rejected: { level: 'warn', msg: 'id_token_rejected' },
  userinfo_failed: { level: 'warn', msg: 'userinfo_failed' },
  session_suspended: { level: 'warn', msg: 'session_suspended' },
  session_resumed: { level: 'info', msg: 'session_resumed' },
  revocation_failed: { level: 'warn', msg: 'revocation_failed' },
  sealed_unreadable: { level: 'warn', msg: 'sealed_unreadable' },
  // life cycle
  config_reloaded: { level: 'info', msg: 'config_reloaded' },
  config_reload_failed: { level: 'error', msg: 'config_reload_failed' },
  config_warning: { level: 'warn', msg: 'config_warning' },
  certificate_reloaded: { level: 'info', msg: 'certificate_reloaded' },
  certificate_reload_failed: { level: 'error', msg: 'certificate_reload_failed' },
  listening_beside: { level: 'info', msg: 'listening beside another process of the same deployment' },
  draining: { level: 'info', msg: 'draining' },
  stopped: { level: 'info', msg: 'stopped' },
  bug: { level: 'error', msg: 'bug' },
}
