import type { Forward, UpstreamTarget } from '../../proxy/types.ts'

/** A verdict of the proxy that lets everything through to a target, and sets nothing. */
export function letThrough(target: UpstreamTarget, more: Partial<Forward> = {}): Forward {
  return {
    kind: 'forward',
    target,
    forwarded: { for: '127.0.0.1', proto: 'http', host: 'app.example.com' },
    set: [],
    removeNames: () => false,
    cookies: '',
    passAuthorization: false,
    timeoutMs: undefined,
    token: undefined,
    openUntil: undefined,
    sessionId: undefined,
    routeId: 'x',
    service: undefined,
    correlationId: 'x',
    ...more,
  }
}
