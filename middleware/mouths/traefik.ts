import type { Allow, Answer, Emit, Generation, RawRequest, Refuse, RequestFacts } from '../types.ts'
import { compileOurHeaders } from '../identity/header-names.ts'
import { memoize } from '../memo.ts'
import { passesAuthorization } from './answer.ts'
import { METHOD, readFacts } from './common-facts.ts'
import { correlationId } from './request-headers.ts'
import { parseTarget } from './target.ts'

export interface ReadDeps {
  readonly random: (bytes: number) => Uint8Array
  readonly emit: Emit
}

/** What a check says, or why it says nothing: `why` is for the operator's log. */
export type Facts =
  | { readonly ok: true; readonly facts: RequestFacts }
  | { readonly ok: false; readonly refuse: Refuse; readonly correlationId: string }

/**
 * Reads a Traefik ForwardAuth check. Believed is only a configured peer (or a client certificate), and only headers that
 * Traefik itself sets with `trustForwardHeader: false`; each must come exactly once. A check that came through an ordinary
 * router is refused whoever the peer is: a browser would be shown the service token.
 */
export function readTraefikFacts(raw: RawRequest, now: Generation, deps: ReadDeps): Facts {
  const id = correlationId(raw, deps.random)
  const no = (why: string): Facts => ({
    ok: false,
    correlationId: id,
    refuse: { kind: 'refuse', code: 'BAD_REQUEST', why },
  })
  if (!raw.peer.certified && !now.isTrustedPeer(raw.peer.address)) return no('untrusted_peer')
  const door = checkDoor(raw, now) ?? checkAliases(raw, now)
  if (door !== undefined) return no(door)
  const told = readTold(raw)
  if (typeof told === 'string') return no(told)
  const origin = now.originOf(told.host)
  if (origin === undefined) return no('host is not in public_url')
  const target = parseTarget(told.uri)
  if (target === undefined) return no('path is not canonical')
  const pinned = readPin(raw.target, now)
  if (pinned.fault !== undefined) return no(pinned.fault)
  const facts = readFacts(raw, now, {
    mouth: 'traefik',
    method: told.method,
    origin,
    target,
    // RFC 6455 §4.1: a handshake is a GET. Anything else is held to the rules of its method.
    upgrade: told.method === 'GET' && raw.all('sec-websocket-key').length > 0,
    trusted: true,
    correlationId: id,
    pinned: pinned.service,
    again: undefined,
  })
  return typeof facts === 'string' ? no(facts) : { ok: true, facts }
}

function checkDoor(raw: RawRequest, now: Generation): string | undefined {
  // Traefik adds it to what its routers forward, and not to its own checks with `trustForwardHeader: false`.
  if (raw.all('x-forwarded-server').length > 0)
    return 'X-Forwarded-Server: a public router reaches verify, or the middleware lacks trustForwardHeader: false'
  const host = raw.all('host')
  if (host.length !== 1) return 'Host missing or repeated'
  if (now.looksPublic(host[0] ?? ''))
    return 'public Host: a public router reaches verify, or the middleware lacks trustForwardHeader: false'
  return undefined
}

const compiled = new WeakMap<Generation, (name: string) => boolean>()

/**
 * Another spelling of a name of ours (`X_User_ID`, CVE-2025-64484) or of Traefik's (`X_Forwarded_Proto`, CVE-2026-39858).
 * Traefik passes it on beside ours unless its regex or entry point says otherwise, and some upstreams fold both into one.
 */
function checkAliases(raw: RawRequest, now: Generation): string | undefined {
  let isAlias = compiled.get(now)
  if (isAlias === undefined) compiled.set(now, (isAlias = compileAliases(now)))
  for (const name of raw.names()) if (isAlias(name)) return 'a header name that is an alias of ours'
  return undefined
}

function compileAliases(now: Generation): (name: string) => boolean {
  const { isAlias } = compileOurHeaders(now.settings)
  const isOfTraefik = (name: string): boolean =>
    /[^a-z0-9-]/.test(name) && /^x[^a-z0-9](?:forwarded|real[^a-z0-9]ip)/.test(name)
  return memoize((name) => isAlias(name) || isOfTraefik(name), 1000, 64)
}

function readTold(raw: RawRequest): { readonly method: string; readonly host: string; readonly uri: string } | string {
  const methods = raw.all('x-forwarded-method')
  const hosts = raw.all('x-forwarded-host')
  const uris = raw.all('x-forwarded-uri')
  if (methods.length > 1 || hosts.length > 1 || uris.length > 1) return 'X-Forwarded-Method, -Host or -Uri repeated'
  const [method, host, uri] = [methods[0], hosts[0], uris[0]]
  if (method === undefined || host === undefined || uri === undefined)
    return 'X-Forwarded-Method, -Host or -Uri missing'
  return METHOD.test(method) ? { method, host, uri } : 'X-Forwarded-Method is no method'
}

const PLAIN_PIN = /^[^?]*\?service=([\w.-]+)$/

/** `?service=` in the middleware's address: once, known, and nothing else beside it, since a typo must not widen. */
function readPin(target: string, now: Generation): { readonly service?: string; readonly fault?: string } {
  const mark = target.indexOf('?')
  if (mark === -1) return {}
  // A name that needs no decoding is what an operator writes; every other query is parsed.
  const plain = PLAIN_PIN.exec(target)?.[1]
  if (plain !== undefined && now.settings.services.has(plain)) return { service: plain }
  const params = [...new URLSearchParams(target.slice(mark + 1))]
  const [name, service] = params[0] ?? []
  if (params.length !== 1 || name !== 'service' || service === undefined)
    return { fault: 'query of the verify address: only service=<name>, once' }
  if (!now.settings.services.has(service)) return { fault: 'service= names no service' }
  return { service }
}

const ALWAYS: Answer['headers'] = [
  ['Cache-Control', 'no-store'],
  ['Content-Length', '0'],
]
const NOTHING: Answer['headers'] = []

/**
 * The yes in header mode: 200 without a body, one value per header. Traefik deletes the client's copy of every listed header
 * that we omit, so what is not said here does not reach the upstream; the client's own Authorization is echoed where it must
 * pass. An omitted Cookie means none: what is left after taking ours out is said.
 */
export function answerTraefikYes(d: Allow, f: RequestFacts): Answer {
  const cookie = f.cookiesForUpstream === '' ? NOTHING : [['Cookie', f.cookiesForUpstream] as const]
  const passed = f.authorization !== undefined && passesAuthorization(d)
  const authorization = passed ? [['Authorization', f.authorization] as const] : NOTHING
  return { status: 200, headers: d.set.concat(cookie, authorization, ALWAYS) }
}
