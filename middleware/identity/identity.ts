import type { Settings } from '../../config/types.ts'
import type { Claims, Emit, IdentityHeaders, LiveSession, Principal, SessionState } from '../types.ts'
import { claimAt, groupsOf, textsOf } from './claims.ts'
import { CORRELATION_HEADER, ISSUER_HEADER, PRESETS, type HeaderSource } from './header-names.ts'
import { headerValue, joinList } from './header-value.ts'

type Pair = readonly [name: string, value: string]

/** Who is told of: what a user's session and a machine's token have in common. */
interface Who {
  readonly claims: Claims
  readonly sub: string
  readonly issuer: string
  readonly session: LiveSession | undefined
}

/**
 * Identity headers for one upstream, by the preset, the claim map and the service's own list (R4, R23). What cannot be said
 * safely is not said: Traefik deletes what we omit. The result depends on the session's version and the service alone, so
 * it is made once and kept with the session.
 */
export function createIdentity(settings: Settings, emit: Emit): IdentityHeaders {
  const kept = new WeakMap<SessionState, Map<string | undefined, readonly Pair[]>>()
  const severalIssuers = settings.providers.size > 1 || settings.bearerIssuers.size > 0
  const make = (who: Who, service: string | undefined): readonly Pair[] => {
    const all = buildPairs(who, settings, severalIssuers, emit)
    const only = service === undefined ? undefined : settings.services.get(service)?.identityHeaders
    if (only === undefined) return all
    const wanted = new Set(only.map((n) => n.toLowerCase()))
    return all.filter(([name]) => wanted.has(name.toLowerCase()))
  }
  return (principal, service, correlationId) => {
    const who = whoIs(principal)
    const correlation: Pair = [CORRELATION_HEADER, correlationId]
    if (who === undefined) return [correlation]
    if (who.session === undefined) return [...make(who, service), correlation]
    const byService = kept.get(who.session.state) ?? new Map<string | undefined, readonly Pair[]>()
    let pairs = byService.get(service)
    if (pairs === undefined) {
      pairs = make(who, service)
      byService.set(service, pairs)
      kept.set(who.session.state, byService)
    }
    return [...pairs, correlation]
  }
}

function whoIs(p: Principal): Who | undefined {
  switch (p.kind) {
    case 'anonymous':
      return undefined
    case 'user':
      return {
        claims: p.session.state.identity,
        sub: p.session.record.sub,
        issuer: p.session.record.issuer,
        session: p.session,
      }
    case 'machine':
      return { claims: p.claims, sub: textsOf(p.claims['sub'])[0] ?? '', issuer: p.issuer, session: undefined }
  }
}

function buildPairs(who: Who, settings: Settings, severalIssuers: boolean, emit: Emit): Pair[] {
  const pairs: Pair[] = []
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined) pairs.push([name, value])
  }
  for (const [name, source] of Object.entries(PRESETS[settings.identity.preset]))
    add(name, valueOf(source, name, who, settings, emit))
  if (severalIssuers) add(ISSUER_HEADER, safe(ISSUER_HEADER, who.issuer, emit))
  for (const [name, path] of Object.entries(settings.identity.map)) {
    const value = claimAt(who.claims, path)
    add(name, Array.isArray(value) ? list(name, textsOf(value), emit) : safe(name, textsOf(value)[0], emit))
  }
  return pairs
}

function valueOf(source: HeaderSource, name: string, who: Who, settings: Settings, emit: Emit): string | undefined {
  const claim = (path: string): string | undefined => safe(name, textsOf(who.claims[path])[0], emit)
  switch (source) {
    case 'sub':
      // R13: the id token's subject, whatever a service token's `sub` says.
      return safe(name, who.sub, emit)
    case 'user':
      return settings.identity.user === 'preferred_username'
        ? (claim('preferred_username') ?? safe(name, who.sub, emit))
        : safe(name, who.sub, emit)
    case 'email':
      // An address that the provider does not vouch for is somebody's claim to be somebody.
      return textsOf(who.claims['email_verified'])[0] === 'false' ? undefined : claim('email')
    case 'name':
      return claim('name')
    case 'preferred_username':
      return claim('preferred_username')
    case 'groups':
      return list(name, groupsOf(who.claims), emit)
    case 'session':
      return who.session?.record.handle
    case 'auth_time':
      return who.session === undefined ? undefined : String(Math.floor(who.session.state.authTime / 1000))
    case 'issuer':
      return safe(name, who.issuer, emit)
  }
}

function safe(name: string, text: string | undefined, emit: Emit): string | undefined {
  if (text === undefined || text === '') return undefined
  const value = headerValue(text)
  if (value === undefined)
    emit({ name: 'header_dropped', fields: { header: name, why: 'control character or too long' } })
  return value
}

function list(name: string, texts: readonly string[], emit: Emit): string | undefined {
  return joinList(texts, (text) => emit({ name: 'group_dropped', fields: { header: name, group: text.slice(0, 200) } }))
}
