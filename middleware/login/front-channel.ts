import { readSessionCookie } from '../session/cookie.ts'
import { expireCookies } from '../session/expire-cookies.ts'
import type { Answer, BrowserRequest } from '../types.ts'
import { distinctCookies, setCookies, type LoginDeps } from './deps.ts'

/**
 * `GET /auth/frontchannel-logout?iss=…&sid=…` (OpenID Connect Front-Channel Logout 1.0 §3), in a hidden frame of the
 * provider's page. Browsers keep our cookie from such a frame, so it acts on `iss` and `sid` alone, and only where both
 * match: a `sid` is known to the provider and to us, so nobody else can name one. What was there is not told.
 */
export async function frontChannelLogout(r: BrowserRequest, deps: LoginDeps): Promise<Answer> {
  const wait = deps.limiter.check(`frontchannel|${r.clientIp}`, deps.now.settings.limits.backchannelLogout)
  if (wait !== undefined) return deps.errorAnswer({ code: 'RATE_LIMITED', retryAfterS: wait }, r)
  const [[iss, ...moreIss], [sid, ...moreSid]] = [r.query.getAll('iss'), r.query.getAll('sid')]
  if (iss === undefined || sid === undefined || sid === '' || moreIss.length + moreSid.length > 0)
    return deps.errorAnswer({ code: 'BAD_REQUEST', detail: 'iss and sid are wanted, once each.' }, r)
  const provider = [...deps.providers.values()].find((p) => p.issuer() === iss)
  if (provider === undefined) return framed([], [])
  const ids = (await deps.sessions.find({ issuer: iss, sid })).map((s) => s.id)
  if (ids.length > 0) await deps.ender.end(ids, 'frontchannel_logout', r)
  const mine = distinctCookies(r, deps.now).map((c) => readSessionCookie(c, deps.cookies.session))
  const cookies = mine.some((id) => id !== undefined && ids.includes(id))
    ? expireCookies(deps.now.settings.session, r.hostname)
    : []
  const endSession = await provider.endSessionUrl({})
  return framed([...new Set([new URL(iss).origin, ...(endSession === undefined ? [] : [endSession.origin])])], cookies)
}

/** An empty page that the provider, and nobody else, may frame. §3: no cache may keep it. */
function framed(by: readonly string[], cookies: readonly string[]): Answer {
  const body = '<!doctype html><html lang="en"><title>signed out</title>'
  return {
    status: 200,
    headers: [
      ['Content-Type', 'text/html; charset=utf-8'],
      ['Content-Security-Policy', `default-src 'none'; frame-ancestors ${by.length === 0 ? "'none'" : by.join(' ')}`],
      ['Cache-Control', 'no-cache, no-store'],
      ['Pragma', 'no-cache'],
      ...setCookies(cookies),
      ['Content-Length', String(body.length)],
    ],
    body,
  }
}
