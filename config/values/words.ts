import { Refused } from '../finding.ts'

/** Names that messages are framed by, or that this service answers for: never from a claim. */
const NOT_OURS = new Set(
  'authorization cookie set-cookie host connection content-length transfer-encoding te trailer upgrade keep-alive proxy-authorization proxy-connection expect content-type location www-authenticate http2-settings'.split(
    ' ',
  ),
)

/** An HTTP field name (RFC 9110 §5.1) that is free to carry an identity. */
export function parseHeaderName(text: string): string | Refused {
  // No `_` or `.`: gateways and CGI fold such names onto others.
  if (!/^[A-Za-z0-9][A-Za-z0-9-]{0,99}$/.test(text))
    return new Refused('BAD_HEADER_NAME', 'this is not a header name', 'Letters, digits and -: X-Department.')
  const name = text.toLowerCase()
  if (NOT_OURS.has(name) || (name.startsWith('x-forwarded-') && !WHO.test(name)) || name.startsWith('x-bff-'))
    return new Refused('RESERVED_HEADER', 'this header has a meaning of its own', 'Choose a name such as X-Department.')
  return text
}

/** `X-Forwarded-*` that say who, as presets name them: no gateway sets these. */
const WHO = /^x-forwarded-(?:user|email|groups|preferred-username)$/

/** A cookie's name (RFC 6265 §4.1.1). */
export function parseCookieName(text: string): string | Refused {
  if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,60}$/.test(text))
    return new Refused('BAD_COOKIE_NAME', 'this is not a cookie name', 'Letters, digits, - and _: bff_session.')
  if (/^(?:__Host-|__Secure-)?(?:_csrf_token$|bff_login_|bff_logout_state$)/i.test(text))
    return new Refused(
      'BAD_COOKIE_NAME',
      'this name belongs to another cookie of this service',
      'bff_session is the default.',
    )
  return text
}

/** A request method (RFC 9110 §9.1); they are case-sensitive, and those in use are upper case. */
export function parseMethod(text: string): string | Refused {
  if (/^[A-Z][A-Z-]{0,31}$/.test(text) && text !== 'CONNECT' && text !== 'TRACE') return text
  return new Refused(
    'BAD_METHOD',
    'this is not a method that a route can have',
    'Upper case: GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS.',
  )
}

/** A host of a route: no port, no scheme. */
export function parseHost(text: string): string | Refused {
  const host = text.toLowerCase()
  if (/^(?:\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(host) && !host.includes('..')) return host
  if (/^\[[0-9a-f:.]+\]$/.test(host)) return host
  return new Refused(
    'BAD_HOST',
    'this is not a host name',
    'Write the name alone, without scheme and port: app.example.com.',
  )
}

/** A domain for a cookie; a dot in front (RFC 2109) says nothing and goes. Empty: host only. */
export function parseCookieDomain(text: string): string | Refused {
  const domain = text.toLowerCase().replace(/^\./, '')
  if (domain === '' || (/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(domain) && !domain.includes('..'))) return domain
  return new Refused('BAD_COOKIE_DOMAIN', 'this is not a domain', 'Write example.com, or leave it empty: host only.')
}

/** A mail domain, for `email_domains`. */
export function parseMailDomain(text: string): string | Refused {
  const domain = text.toLowerCase()
  if (/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(domain) && !domain.includes('..')) return domain
  return new Refused('BAD_DOMAIN', 'this is not a mail domain', 'Write what stands after the @: example.com.')
}

/** Any header to be read, not set. */
export function parseHeaderToken(text: string): string | Refused {
  if (/^[A-Za-z0-9][A-Za-z0-9-]{0,99}$/.test(text)) return text
  return new Refused('BAD_HEADER_NAME', 'this is not a header name', 'Letters, digits and -: X-Forwarded-For.')
}
