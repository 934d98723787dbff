import { isIP } from 'node:net'
import type { Place } from '../finding.ts'
import type { PublicUrl } from '../types.ts'
import { isRedisUrl, parseRedisUrl } from '../values/store-url.ts'
import { isPublicSuffix } from '../values/suffix.ts'
import type { Check, CheckContext } from './context.ts'
import { publicUrls } from './public-urls.ts'
import { checkCertificate, checkKeyPair } from './server.ts'

/** HMAC-SHA256 wants a key of its own length (RFC 2104 §3). */
const LEAST_BYTES = 32

export const checkSession: Check = (c) => {
  checkSecrets(c)
  checkCookie(c)
  checkDomain(c)
  checkStoreTls(c)
  const { idle_timeout: idle, absolute_timeout: absolute } = c.settings.session
  if (idle > absolute)
    c.report.fault(['settings', 'session', 'idle_timeout'], {
      code: 'IDLE_ABOVE_ABSOLUTE',
      message: '`session.idle_timeout` is longer than `session.absolute_timeout`',
      mend: 'A session ends at the first of the two: make idle_timeout the shorter one.',
    })
}

function checkSecrets(c: CheckContext): void {
  const mend = 'Make one with: openssl rand -base64 48'
  c.settings.session.secret?.forEach((s, i, all) => {
    const at: Place = ['settings', 'session', 'secret', ...(all.length > 1 ? [i] : [])]
    const text = s.reveal()
    if (Buffer.byteLength(text) < LEAST_BYTES)
      c.report.fault(at, { code: 'SECRET_TOO_SHORT', message: 'a session secret is shorter than 32 bytes', mend })
    else if (new Set(text).size < 10)
      c.report.warn(at, {
        code: 'SECRET_WEAK',
        message: 'a session secret is long, but of very few different characters',
        mend,
      })
  })
}

function checkCookie(c: CheckContext): void {
  const { cookie_name: name, cookie_domain: domain, same_site: sameSite } = c.settings.session
  const insecure = publicUrls(c.settings).some(({ url }) => url.protocol === 'http:')
  const at: Place = ['settings', 'session', 'cookie_name']
  // RFC 6265bis §4.1.3: a browser drops such a cookie without a word.
  if (/^__(?:host|secure)-/i.test(name) && insecure)
    c.report.fault(at, {
      code: 'COOKIE_PREFIX',
      message: 'a browser takes a cookie with this prefix over https alone',
      mend: 'Use https, or a name without __Host- and __Secure-.',
    })
  else if (/^__host-/i.test(name) && domain !== '')
    c.report.fault(at, {
      code: 'COOKIE_PREFIX',
      message: 'a __Host- cookie has no domain',
      mend: 'Leave session.cookie_domain empty, or choose another name.',
    })
  if (sameSite === 'none' && insecure)
    c.report.fault(['settings', 'session', 'same_site'], {
      code: 'SAME_SITE_INSECURE',
      message: 'SameSite=None wants https on every public URL',
      mend: 'Use https, or same_site: lax.',
    })
  else if (sameSite === 'none' && c.settings.session.same_site_reason === undefined)
    c.report.fault(['settings', 'session', 'same_site'], {
      code: 'SAME_SITE_NONE',
      message: 'SameSite=None sends the session cookie with requests of every other site, and no reason is given',
      mend: 'Use same_site: lax; or say why in session.same_site_reason: "embedded in the partner’s portal".',
    })
  if (sameSite === 'strict')
    c.report.warn(['settings', 'session', 'same_site'], {
      code: 'SAME_SITE_STRICT',
      message:
        'with SameSite=Strict a link from elsewhere, and the way back from the provider, arrive without a session',
      mend: 'Use lax unless that is wanted.',
    })
}

function checkDomain(c: CheckContext): void {
  const domain = c.settings.session.cookie_domain
  if (domain === '') return
  const at: Place = ['settings', 'session', 'cookie_domain']
  // A browser takes `Domain=localhost` from localhost alone, as a host-only cookie.
  const whole = publicUrls(c.settings).every(({ url }) => url.hostname === domain)
  if (isPublicSuffix(domain) && !whole)
    c.report.fault(at, {
      code: 'COOKIE_DOMAIN',
      message: 'anybody can have a name below this domain: a browser refuses a cookie for all of it',
      mend: 'Write a domain of your own, one label longer, that all public URLs end in; or leave it empty: host only.',
    })
  else if (isIP(domain) !== 0)
    c.report.fault(at, {
      code: 'COOKIE_DOMAIN',
      message: 'an address is no cookie domain',
      mend: 'Leave it empty: host only.',
    })
  else if (publicUrls(c.settings).some(({ url }) => !covers(domain, url)))
    c.report.fault(at, {
      code: 'COOKIE_DOMAIN',
      message: '`session.cookie_domain` is no parent of every public host',
      mend: 'Choose a domain that all public URLs end in, or leave it empty.',
    })
}

function covers(domain: string, url: PublicUrl): boolean {
  // `*.example.com` holds no host `example.com`, so the star's own domain is its parent.
  const host = url.wildcard ? url.hostname.slice(2) : url.hostname
  return host === domain || host.endsWith(`.${domain}`)
}

/** A file that is missing at boot would be an outage at the first connection, and one that nobody can mend from the log. */
function checkStoreTls(c: CheckContext): void {
  const { store, store_tls: tls } = c.settings.session
  if (tls === undefined) return
  const at: Place = ['settings', 'session', 'store_tls']
  const url = isRedisUrl(store.reveal()) ? parseRedisUrl(store.reveal()) : undefined
  if (url === undefined || 'wrong' in url || !url.tls)
    c.report.fault(at, {
      code: 'STORE_TLS_UNUSED',
      message: '`session.store_tls` is here and `session.store` does not speak TLS',
      mend: 'Write the store as rediss://, rediss+sentinel:// or rediss+cluster://, or leave store_tls out.',
    })
  if (tls.ca !== undefined) checkCertificate(c, at, 'ca', tls.ca)
  if ((tls.cert === undefined) !== (tls.key === undefined))
    c.report.fault(at, {
      code: 'STORE_TLS_PAIR',
      message: '`session.store_tls` has one of `cert` and `key` without the other',
      mend: 'A client certificate is both; leave both out where the server asks for none.',
    })
  checkKeyPair(c, at, tls.cert, tls.key)
}
