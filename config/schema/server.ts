import { z } from './zod.ts'
import { parseListen, parseTrusted } from '../values/net.ts'
import { parseBasePath } from '../values/path.ts'
import { parseOrigin, parsePublicUrl } from '../values/url.ts'
import { parseHeaderToken } from '../values/words.ts'
import { about, count, duration, list, parsed, secretText, section, text } from './parts.ts'

const verifyTls = section({
  cert: text()
    .optional()
    .meta(about('PEM file of the certificate, relative to the config directory.', { required: true })),
  key: text()
    .optional()
    .meta(about('PEM file of its private key.', { required: true })),
  client_ca: text()
    .optional()
    .meta(about('PEM file of the CA that signed the gateway’s client certificate: turns mutual TLS on.')),
})

const clientIp = section({
  header: parsed(parseHeaderToken)
    .prefault('X-Forwarded-For')
    .meta(about('Header in which a trusted proxy names the client.')),
  hops: count(1, 16)
    .prefault(1)
    .meta(about('How many entries from the right the client stands: 1 is what the nearest proxy saw.')),
})

/** `server:` where we listen, and whom we believe. */
export const server = section({
  public_url: parsed(parsePublicUrl)
    .optional()
    .meta(about('Origin under which browsers reach this service. https; http on loopback only.')),
  public_urls: list(parsed(parsePublicUrl))
    .optional()
    .meta(about('Instead of `public_url`, several. `https://*.apps.example.com` is any one label.')),
  login_url: parsed(parsePublicUrl)
    .optional()
    .meta(
      about(
        'The one origin where people sign in and out, for all public URLs; wants a `session.cookie_domain` above them all. Left out: each host signs in on its own.',
      ),
    ),
  listen: parsed(parseListen)
    .prefault('127.0.0.1:4181')
    .meta(about('Browser endpoints, the proxy, and `/auth/verify` over HTTP/1.1.', { restart: true })),
  verify_listen: parsed(parseListen)
    .optional()
    .meta(about('`/auth/verify` alone, HTTP/2 over TLS. Off where it is left out.', { restart: true })),
  verify_tls: verifyTls
    .optional()
    .meta(about('Certificate of `verify_listen`. A changed file counts without a reload.')),
  verify_session_age: duration('1s', '24h')
    .prefault('5m')
    .meta(
      about(
        'About so long an HTTP/2 connection to `verify_listen` lives; then its client is asked to open another, perhaps to another replica.',
        { restart: true },
      ),
    ),
  admin_listen: parsed(parseListen)
    .optional()
    .meta(about('Health, ready, metrics, explain. Off where it is left out.', { restart: true })),
  admin_token: secretText()
    .optional()
    .meta(about('Bearer token wanted by `/explain` and all that changes state, unless the listener is on loopback.')),
  drain_delay: duration('0s', '10m')
    .prefault('5s')
    .meta(
      about(
        'After SIGTERM `/ready` says no, and for so long at most new connections are still taken while balancers notice. Shorter where nobody asks `/ready?scope=local` and no request comes.',
      ),
    ),
  trusted_proxies: list(parsed(parseTrusted))
    .prefault([])
    .meta(
      about(
        'CIDR blocks whose `X-Forwarded-*` count. Empty: nobody’s, and `/auth/verify` refuses every peer without a client certificate.',
      ),
    ),
  client_ip: clientIp.prefault({}).meta(about('Where the client’s address stands.')),
  base_path: parsed(parseBasePath)
    .prefault('/auth')
    .meta(about('Where our own endpoints are; move it where it collides with an app.')),
  cors_origins: list(parsed(parseOrigin))
    .prefault([])
    .meta(about('Preflights from these pass without identity. This service sends no CORS headers itself.')),
})

/** `log:` */
export const log = section({
  level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .prefault('info')
    .meta(about('Least severity that is written.')),
  access: z
    .enum(['all', 'errors', 'off'])
    .prefault('errors')
    .meta(about('Which requests get a line of their own; paths without their query.')),
})
