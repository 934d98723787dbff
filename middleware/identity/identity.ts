import type { Settings } from '../../config/types.ts'
import type { Emit, IdentityHeaders, Principal, SessionState } from '../types.ts'
import { saysUnverified, type Assertion, type Who } from './assertion.ts'
import { claimAt, groupsOf, textsOf } from './claims.ts'
import { ASSERTION_HEADER, CORRELATION_HEADER, ISSUER_HEADER, PRESETS, type HeaderSource } from './header-names.ts'
import { headerValue, joinList } from './header-value.ts'

type Pair = readonly [name: string, value: string]

const NONE: readonly Pair[] = []

/**
 * Identity headers for one upstream, by the preset, the claim map and the service's own list (R4, R23). What cannot be said
 * safely is not said: Traefik deletes what we omit. The result depends on the session's version and the service alone, so
 * it is made once and kept with the session; the assertion alone is made anew as it ages.
 */
export function createIdentity(settings: Settings, emit: Emit, assertion?: Assertion): IdentityHeaders {
  const kept = new WeakMap<SessionState, Map<string | undefined, readonly Pair[]>>()
  const severalIssuers = settings.providers.size > 1 || settings.bearerIssuers.size > 0
  const make = (who: Who, service: string | undefined): readonly Pair[] => {
    const wanted = wantedHeaders(settings, service)
    return buildPairs(who, settings, severalIssuers, emit).filter(([name]) => wanted(name))
  }
  const signed = (who: Who, service: string | undefined): readonly Pair[] =>
    assertion === undefined || !wantedHeaders(settings, service)(ASSERTION_HEADER)
      ? NONE
      : [[ASSERTION_HEADER, assertion(who, service)]]
  const keep = (who: Who, state: SessionState, service: string | undefined): readonly Pair[] => {
    const pairs = make(who, service)
    const byService = kept.get(state) ?? new Map<string | undefined, readonly Pair[]>()
    kept.set(state, byService.set(service, pairs))
    return pairs
  }
  return (principal, service, correlationId) => {
    const correlation: Pair = [CORRELATION_HEADER, correlationId]
    if (principal.kind === 'anonymous') return [correlation]
    const who = whoIs(principal)
    const state = who.session?.state
    const pairs =
      state === undefined ? make(who, service) : (kept.get(state)?.get(service) ?? keep(who, state, service))
    return pairs.concat(signed(who, service), [correlation])
  }
}

/** Which headers a service is told: all, or those of its own list (R23). */
function wantedHeaders(settings: Settings, service: string | undefined): (name: string) => boolean {
  const only = service === undefined ? undefined : settings.services.get(service)?.identityHeaders
  return (name) => only === undefined || only.some((n) => n.toLowerCase() === name.toLowerCase())
}

function whoIs(p: Exclude<Principal, { kind: 'anonymous' }>): Who {
  switch (p.kind) {
    case 'user':
      return {
        claims: p.session.state.identity,
        sub: p.session.record.sub,
        issuer: p.session.record.issuer,
        session: p.session,
        expiresAt: p.session.record.expiresAt,
      }
    case 'machine':
      return {
        claims: p.claims,
        sub: textsOf(p.claims['sub'])[0] ?? '',
        issuer: p.issuer,
        session: undefined,
        expiresAt: p.expiresAt,
      }
  }
}

function buildPairs(who: Who, settings: Settings, severalIssuers: boolean, emit: Emit): Pair[] {
  const pairs: Pair[] = []
  const add = (name: string, value: string | undefined): void => {
    if (value !== undefined) pairs.push([name, value])
  }
  for (const [name, source] of Object.entries(PRESETS[settings.identity.preset]))
    if (!isMapped(settings, name)) add(name, valueOf(source, name, who, settings, emit))
  if (severalIssuers) add(ISSUER_HEADER, safe(ISSUER_HEADER, who.issuer, emit))
  for (const [name, path] of Object.entries(settings.identity.map)) {
    const value = claimAt(who.claims, path)
    add(name, Array.isArray(value) ? list(name, textsOf(value), emit) : safe(name, textsOf(value)[0], emit))
  }
  return pairs
}

/** The operator's map wins over the preset: one header has one value. */
function isMapped(settings: Settings, name: string): boolean {
  return Object.keys(settings.identity.map).some((n) => n.toLowerCase() === name.toLowerCase())
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
      return saysUnverified(who.claims) ? undefined : claim('email')
    case 'name':
      // For people to read: a blank at its end makes it nobody else's.
      return safe(name, textsOf(who.claims['name'])[0]?.trim(), emit)
    case 'preferred_username':
      return claim('preferred_username')
    case 'groups':
      return list(name, groupsOf(who.claims, settings.identity.groupsClaim), emit)
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
    emit({ name: 'header_dropped', fields: { header: name, why: 'control character, blank at an end, or too long' } })
  return value
}

function list(name: string, texts: readonly string[], emit: Emit): string | undefined {
  return joinList(texts, (left) => {
    const groups = left.slice(0, 5).map((text) => text.slice(0, 200))
    emit({ name: 'group_dropped', fields: { header: name, group: groups[0], groups, count: left.length } })
  })
}
