import type { HeaderPreset } from '../types.ts'

/** What a header of a preset is made of. */
export type HeaderSource =
  'user' | 'sub' | 'email' | 'name' | 'groups' | 'preferred_username' | 'session' | 'auth_time' | 'issuer'

/**
 * THE list: which header of which preset says what. Traefik's `authResponseHeaders`, the alias regexes, what the proxy
 * deletes from a client's request and what is set are all made from it, so they cannot differ.
 */
export const PRESETS: Readonly<Record<HeaderPreset, Readonly<Record<string, HeaderSource>>>> = {
  bff: {
    'X-User-ID': 'user',
    'X-User-Email': 'email',
    'X-User-Name': 'name',
    'X-User-Groups': 'groups',
    'X-Session-ID': 'session',
    'X-Auth-Time': 'auth_time',
    'X-Original-User': 'sub',
  },
  'oauth2-proxy': {
    'X-Auth-Request-User': 'user',
    'X-Auth-Request-Email': 'email',
    'X-Auth-Request-Groups': 'groups',
    'X-Auth-Request-Preferred-Username': 'preferred_username',
    'X-Forwarded-User': 'user',
    'X-Forwarded-Email': 'email',
    'X-Forwarded-Groups': 'groups',
    'X-Forwarded-Preferred-Username': 'preferred_username',
  },
  authelia: { 'Remote-User': 'user', 'Remote-Name': 'name', 'Remote-Email': 'email', 'Remote-Groups': 'groups' },
  'traefik-hub': { 'X-Forwarded-User': 'user', 'X-Forwarded-Email': 'email', 'X-Forwarded-Groups': 'groups' },
}

export const CORRELATION_HEADER = 'X-Correlation-ID'
export const ISSUER_HEADER = 'X-User-Issuer'
export const ASSERTION_HEADER = 'X-Identity-Assertion'
