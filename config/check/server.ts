import { X509Certificate, createPrivateKey } from 'node:crypto'
import type { Place } from '../finding.ts'
import type { ListenAddress } from '../types.ts'
import { isLoopback, prefixOf } from '../values/net.ts'
import { originFits, originText } from '../values/url.ts'
import type { Check, CheckContext } from './context.ts'
import { publicUrls } from './public-urls.ts'

export const checkServer: Check = (c) => {
  checkPublicUrls(c)
  checkLoginUrl(c)
  checkListeners(c)
  checkVerifyTls(c)
  checkTrustedProxies(c)
}

function checkPublicUrls(c: CheckContext): void {
  const { public_url, public_urls } = c.settings.server
  if (public_url !== undefined && public_urls !== undefined)
    c.report.fault(['settings', 'server', 'public_urls'], {
      code: 'PUBLIC_URL_TWICE',
      message: 'both `server.public_url` and `server.public_urls` are here',
      mend: 'Keep one: public_urls takes them all.',
    })
  const seen = new Set<string>()
  for (const { url, at } of publicUrls(c.settings)) {
    const origin = `${url.protocol}//${url.hostname}:${url.port}`
    if (seen.has(origin))
      c.report.fault(at, { code: 'PUBLIC_URL_TWICE', message: 'this origin stands here twice', mend: 'Keep one.' })
    seen.add(origin)
  }
  // One that stands there and is wrong was told of already, and is not missing.
  if (seen.size > 0 || c.report.isSpoilt(['settings', 'server', 'public_urls'])) return
  const problem = {
    code: 'MISSING_KEY',
    message: '`server.public_url` is missing',
    mend: 'The origin under which browsers reach this service: https://app.example.com',
  }
  c.report.fault(['settings', 'server', public_urls === undefined ? 'public_url' : 'public_urls'], problem)
}

/** One login host for all: it is one of ours, and the cookie that it sets reaches them all. */
function checkLoginUrl(c: CheckContext): void {
  const { login_url: login } = c.settings.server
  if (login === undefined) return
  const at: Place = ['settings', 'server', 'login_url']
  const all = publicUrls(c.settings)
  if (login.wildcard)
    c.report.fault(at, {
      code: 'LOGIN_URL',
      message: '`server.login_url` is one origin, without a star',
      mend: 'Name the host where people sign in: https://login.example.com.',
    })
  else if (!all.some(({ url }) => originFits(login, url)))
    c.report.fault(at, {
      code: 'LOGIN_URL',
      message: '`server.login_url` is none of the public URLs',
      mend: `Add ${originText(login)} to server.public_urls, with the same scheme and port.`,
    })
  else if (c.settings.session.cookie_domain === '' && all.some(({ url }) => url.hostname !== login.hostname))
    c.report.fault(at, {
      code: 'LOGIN_URL_COOKIE',
      message:
        'a session of `server.login_url` would be worth nothing on the other public hosts: its cookie is host-only',
      mend: 'Set session.cookie_domain to a domain that all public hosts end in, or remove login_url: each host then signs in on its own.',
    })
}

function checkListeners(c: CheckContext): void {
  const seen = new Map<string, string>()
  for (const key of ['listen', 'verify_listen', 'admin_listen'] as const) {
    const address: ListenAddress | undefined = c.settings.server[key]
    if (address === undefined || address.port === 0) continue
    const text = `${address.host}:${address.port}`
    const other = seen.get(text)
    seen.set(text, key)
    if (other === undefined) continue
    c.report.fault(['settings', 'server', key], {
      code: 'LISTEN_TWICE',
      message: `\`server.${key}\` is the address of \`server.${other}\``,
      mend: 'Give each its own port.',
    })
  }
  const { admin_listen: admin, admin_token: token } = c.settings.server
  if (admin !== undefined && !isLoopback(admin.host) && token === undefined)
    c.report.warn(['settings', 'server', 'admin_listen'], {
      code: 'ADMIN_WITHOUT_TOKEN',
      message:
        'the admin listener is not on loopback and there is no `server.admin_token`: /explain and what changes state will refuse everybody',
      mend: 'Set server.admin_token, or listen on 127.0.0.1.',
    })
}

function checkVerifyTls(c: CheckContext): void {
  const { verify_listen: listen, verify_tls: tls } = c.settings.server
  if (listen !== undefined && tls === undefined)
    c.report.fault(['settings', 'server', 'verify_listen'], {
      code: 'VERIFY_TLS_MISSING',
      message: '`server.verify_listen` speaks HTTP/2 over TLS and has no certificate',
      mend: 'Set server.verify_tls: { cert, key }; `traefik-bff certs` makes them.',
    })
  if (tls === undefined) return
  const at: Place = ['settings', 'server', 'verify_tls']
  if (listen === undefined)
    c.report.warn(at, {
      code: 'VERIFY_TLS_UNUSED',
      message: '`server.verify_tls` is here and `server.verify_listen` is not',
    })
  checkKeyPair(c, at, tls.cert, tls.key)
  if (tls.client_ca === undefined) return
  checkCertificate(c, at, 'client_ca', tls.client_ca)
}

/** That a file holds a certificate and can be read. */
export function checkCertificate(c: CheckContext, at: Place, key: string, file: string): void {
  const pem = c.readFile(file)
  if (pem === undefined || !isCertificate(pem)) c.report.fault([...at, key], unusable(key, 'certificate'))
}

/** That both files can be read, and that one is the key of the other. */
export function checkKeyPair(
  c: CheckContext,
  at: Place,
  certFile: string | undefined,
  keyFile: string | undefined,
): void {
  const cert = certFile === undefined ? undefined : c.readFile(certFile)
  const key = keyFile === undefined ? undefined : c.readFile(keyFile)
  if (certFile !== undefined && (cert === undefined || !isCertificate(cert)))
    c.report.fault([...at, 'cert'], unusable('cert', 'certificate'))
  else if (keyFile !== undefined && (key === undefined || !isKey(key)))
    c.report.fault([...at, 'key'], unusable('key', 'private key'))
  else if (cert !== undefined && key !== undefined && !new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
    c.report.fault([...at, 'key'], { code: 'TLS_KEY_MISMATCH', message: 'this key is not the certificate’s' })
}

const unusable = (key: string, what: string) => ({
  code: 'TLS_FILE',
  message: `\`${key}\` names no PEM file with a ${what} that can be read`,
  mend: 'A path is relative to the config directory; this process must be allowed to read it.',
})

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== ''
  } catch {
    return false
  }
}

function isKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).type === 'private'
  } catch {
    return false
  }
}

function checkTrustedProxies(c: CheckContext): void {
  const at: Place = ['settings', 'server', 'trusted_proxies']
  const blocks = c.settings.server.trusted_proxies
  if (blocks.length === 0 && c.settings.server.verify_tls?.client_ca === undefined)
    c.report.warn(at, {
      code: 'NO_TRUSTED_PROXIES',
      message: '`server.trusted_proxies` is empty: /auth/verify will refuse everybody',
      mend: 'Name the gateway’s addresses: [127.0.0.1/32].',
    })
  blocks.forEach((block, i) => {
    const { bits, most } = prefixOf(block)
    if (bits < most / 4)
      c.report.warn([...at, i], {
        code: 'TRUSTS_MANY',
        message: `this block holds every address with the same first ${bits} bits`,
        mend: 'Name the gateway’s own addresses.',
      })
  })
}
