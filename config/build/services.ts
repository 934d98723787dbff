import type { CheckContext } from '../check/context.ts'
import { own } from '../check/services.ts'
import type { DraftRequire, DraftRoute, DraftService } from '../schema/schema.ts'
import type { Require, Route, ServiceSettings } from '../types.ts'
import { sure } from './providers.ts'

type Source = Pick<CheckContext, 'settings' | 'routes'>

/** Every service that anything names, so that a lookup by a route's `target_service` always finds one. */
export function buildServices(c: Source): ReadonlyMap<string, ServiceSettings> {
  const { service_audiences: audiences, service_scopes: scopes, service_tokens: tokens } = c.settings
  const names = new Set([audiences, scopes, tokens, c.routes.services].flatMap((map) => Object.keys(map)))
  for (const r of c.routes.routes) if (r.target_service !== undefined) names.add(r.target_service)
  return new Map([...names].map((name) => [name, buildService(c, name)]))
}

function buildService(c: Source, name: string): ServiceSettings {
  const s: Partial<DraftService> = own(c.settings.service_tokens, name) ?? {}
  const upstream = own(c.routes.services, name)
  return {
    name,
    ...given({
      audience: s.audience ?? own(c.settings.service_audiences, name),
      strategy: s.strategy,
      client: s.client,
      tokenEndpoint: s.token_endpoint,
      subjectTokenType: s.subject_token_type,
      requestedTokenType: s.requested_token_type,
      identityHeaders: s.identity_headers,
      baseUrl: upstream?.base_url,
    }),
    scopes: s.scopes ?? own(c.settings.service_scopes, name) ?? [],
    audienceParameter: s.audience_parameter ?? c.settings.tokens.audience_parameter,
    extraParams: s.extra_params ?? {},
    trustOpaque: s.trust_opaque ?? false,
    allowOtherAudiences: s.allow_other_audiences ?? false,
    resources: s.resources ?? [],
    audiences: s.audiences ?? [],
    require: buildRequire(upstream?.require ?? s.require),
  }
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** Without the keys that have no value: `exactOptionalPropertyTypes` tells the two apart. */
export function given<T extends object>(o: T): Given<T> {
  return Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined)) as Given<T>
}

function buildRequire(r: DraftRequire | undefined): Require {
  return {
    groups: r?.groups ?? [],
    scopes: r?.scopes ?? [],
    claims: r?.claims ?? {},
    acr: r?.acr ?? [],
    networks: r?.networks ?? [],
    ...(r?.max_age === undefined ? {} : { maxAgeS: Math.ceil(r.max_age / 1000) }),
  }
}

/** A route with its defaults; `csrf` follows from whether a token goes upstream. */
export function buildRoute(r: DraftRoute): Route {
  return {
    id: sure(r.id),
    path: sure(r.path),
    methods: [...new Set(r.methods ?? [])],
    auth: r.auth,
    csrf: r.csrf ?? (r.target_service === undefined ? 'origin' : 'token'),
    require: buildRequire(r.require),
    encoded: [...new Set(r.encoded)],
    bearer: [...new Set(r.bearer)],
    ...given({
      host: r.host,
      service: r.target_service,
      upstreamPath: r.upstream_path,
      timeoutMs: r.timeout,
      websocketMaxAgeMs: r.websocket_max_age,
    }),
  }
}
