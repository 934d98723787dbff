import type { ListenAddress, Settings } from '../../config/types.ts'
import { aliasRegex, authResponseHeaders } from '../../middleware/identity/header-names.ts'

/** Traefik's `forwardAuth` options, as they stand in a dynamic file. */
export interface ForwardAuth {
  readonly address: string
  readonly trustForwardHeader: false
  readonly maxResponseBodySize: number
  readonly preserveLocationHeader: false
  readonly authResponseHeaders: readonly string[]
  readonly authResponseHeadersRegex: string
}

/** What the gateway's side depends on. */
export interface GatewaySettings {
  readonly identity: Pick<Settings['identity'], 'map'>
  readonly server: Pick<Settings['server'], 'listen' | 'basePath'>
}

/**
 * The forwardAuth middleware for an operator's own settings: its header list and regex name every header of every preset
 * and of the map, so that a client's copy of none of them reaches an upstream.
 *
 * @param service pins the middleware to one service.
 */
export function buildForwardAuth(settings: GatewaySettings, service?: string): ForwardAuth {
  const { listen, basePath } = settings.server
  const pin = service === undefined ? '' : `?service=${encodeURIComponent(service)}`
  return {
    address: `http://${dialled(listen)}${basePath}/verify${pin}`,
    trustForwardHeader: false,
    maxResponseBodySize: 65_536,
    preserveLocationHeader: false,
    authResponseHeaders: authResponseHeaders(settings),
    authResponseHeadersRegex: aliasRegex(settings),
  }
}

/** An address to listen on everywhere is none to dial: this machine's is. */
function dialled({ host, port }: ListenAddress): string {
  const at = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `${at.includes(':') ? `[${at}]` : at}:${port}`
}
