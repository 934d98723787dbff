import type { Generation, RawRequest, TokenId } from '../types.ts'
import { METHOD, readFacts } from './common-facts.ts'
import { correlationId, hostOf } from './request-headers.ts'
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
  const facts = readFacts(raw, now, {
    mouth: 'proxy',
    method: raw.method,
    origin,
    target,
    upgrade: raw.method === 'GET' && raw.all('upgrade').some((u) => u.toLowerCase() === 'websocket'),
    trusted,
    correlationId: id,
    pinned: undefined,
    again: again === undefined ? undefined : { rejected: again },
  })
  return typeof facts === 'string' ? no(facts) : { ok: true, facts }
}
