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
  readonly tls?: ForwardAuthTls
}

/** Paths on Traefik's side. */
export interface ForwardAuthTls {
  readonly ca: string
  readonly cert?: string
  readonly key?: string
}

/** What the gateway's side depends on. */
export interface GatewaySettings {
  readonly identity: Pick<Settings['identity'], 'map'>
  readonly server: Pick<Settings['server'], 'listen' | 'basePath' | 'verifyListen' | 'verifyTls'>
}

export interface ForwardAuthOptions {
  /** Pins the middleware to one service. */
  readonly service?: string
  /** Name or address under which Traefik dials the service; left out: the listener's own. */
  readonly host?: string
  /** Folder on Traefik's side with `ca.pem`, `traefik.pem` and `traefik.key`, for checks over `verify_listen`. */
  readonly tlsDir?: string
}

const TLS_DIR = '/etc/traefik/bff'
/** Our pages are shorter. Traefik takes so much memory anew for each check, body or none. */
export const LONGEST_BODY = 16_384

/**
 * The forwardAuth middleware for an operator's own settings: its header list and regex name every header of every preset
 * and of the map, so that a client's copy of none of them reaches an upstream. Checks go to `verify_listen` where there is one.
 */
export function buildForwardAuth(settings: GatewaySettings, o: ForwardAuthOptions = {}): ForwardAuth {
  const { listen, basePath, verifyListen, verifyTls } = settings.server
  const pin = o.service === undefined ? '' : `?service=${encodeURIComponent(o.service)}`
  const at = verifyListen ?? listen
  const dir = o.tlsDir ?? TLS_DIR
  // Without `client_ca` nobody asks for Traefik's certificate.
  const client = verifyTls?.clientCa === undefined ? {} : { cert: `${dir}/traefik.pem`, key: `${dir}/traefik.key` }
  return {
    address: `${verifyListen === undefined ? 'http' : 'https'}://${dialled(at, o.host)}${basePath}/verify${pin}`,
    trustForwardHeader: false,
    maxResponseBodySize: LONGEST_BODY,
    preserveLocationHeader: false,
    authResponseHeaders: authResponseHeaders(settings),
    authResponseHeadersRegex: aliasRegex(settings),
    ...(verifyListen === undefined ? {} : { tls: { ca: `${dir}/ca.pem`, ...client } }),
  }
}

/** `host:port` to dial. An address to listen on everywhere is none to dial: this machine's is. */
export function dialled({ host, port }: ListenAddress, instead?: string): string {
  const at = instead ?? (host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host)
  return `${at.includes(':') ? `[${at}]` : at}:${port}`
}
