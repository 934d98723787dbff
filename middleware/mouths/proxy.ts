import type { Generation, RawRequest, TokenId } from '../types.ts'
import { METHOD, readCommon } from './common-facts.ts'
import { correlationId, hostOf, whoWaits } from './request-headers.ts'
import { parseTarget } from './target.ts'
import type { Facts, ReadDeps } from './traefik.ts'

/**
 * Reads a request that is to be forwarded: method and target are those of the request line itself, from any peer;
 * X-Forwarded-Method, -Uri and -Prefix are read from nobody. Host and client address come from forwarded headers behind a
 * configured peer.
 */
export function readProxyFacts(raw: RawRequest, now: Generation, deps: ReadDeps, again: TokenId | undefined): Facts {
  const id = correlationId(raw, deps.random)
  const no = (why: string): Facts => ({
    ok: false,
    correlationId: id,
    refuse: { kind: 'refuse', code: 'BAD_REQUEST', why },
  })
  if (!METHOD.test(raw.method)) return no('no such method')
  const trusted = raw.peer.certified || now.isTrustedPeer(raw.peer.address)
  const origin = now.originOf(hostOf(raw, trusted))
  if (origin === undefined) return no('host is not in public_url')
  const target = parseTarget(raw.target)
  if (target === undefined) return no('path is not canonical')
  const rest = readCommon(raw, now, raw.method, trusted)
  if (typeof rest === 'string') return no(rest)
  const upgrade = raw.method === 'GET' && raw.all('upgrade').some((u) => u.toLowerCase() === 'websocket')
  return {
    ok: true,
    facts: {
      mouth: 'proxy',
      method: raw.method,
      origin: origin.origin,
      hostname: origin.hostname,
      path: target.path,
      query: target.query,
      encoded: target.encoded,
      acceptLanguage: rest.acceptLanguage,
      clientIp: rest.clientIp,
      clientIpUnknown: rest.clientIpUnknown,
      cookies: rest.cookies,
      cookiesForUpstream: rest.cookiesForUpstream,
      authorization: rest.authorization,
      csrf: rest.csrf,
      preflight: rest.preflight,
      preflightMethod: rest.preflightMethod,
      overrides: rest.overrides,
      wants: whoWaits(raw, raw.method, upgrade),
      correlationId: id,
      pinned: undefined,
      again: again === undefined ? undefined : { rejected: again },
    },
  }
}
