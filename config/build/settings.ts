import { resolve } from 'node:path'
import type { CheckContext } from '../check/context.ts'
import { publicUrls } from '../check/public-urls.ts'
import { originText } from '../values/url.ts'
import type { ServerSettings, SessionSettings, Settings } from '../types.ts'
import { buildClient, buildProviders, sure } from './providers.ts'
import { buildRoute, buildServices, given } from './services.ts'

type Source = Pick<CheckContext, 'settings' | 'routes' | 'readFile'>

/** From what was written to what the service reads. Only for a draft that no check found fault with. */
export function buildSettings(c: Source, dir: string): Settings {
  const { settings: s, routes } = c
  const map = s.identity_headers
  return {
    server: buildServer(c, dir),
    providers: buildProviders(c),
    postLogoutRedirect: s.auth.post_logout_redirect ?? `${s.server.base_path}/logged-out`,
    frontchannelLogout: s.auth.frontchannel_logout,
    session: buildSession(c, dir),
    tokens: {
      audienceParameter: s.tokens.audience_parameter,
      warmUp: s.tokens.warm_up,
      deadlineMs: s.tokens.deadline,
      invalidGrantGraceMs: s.tokens.invalid_grant_grace,
    },
    services: buildServices(c),
    clients: new Map(
      Object.entries(s.clients).map(([name, client]) => [
        name,
        { ...buildClient(c, client), ...given({ provider: client.provider }) },
      ]),
    ),
    identity: {
      preset: map.preset,
      map: map.map,
      // Authelia's Remote-User is a login name; the others' is the subject where the provider speaks OpenID Connect.
      user: map.user ?? (map.preset === 'authelia' ? 'preferred_username' : 'sub'),
      groupsClaim: sure(map.groups_claim),
      assertion: {
        enabled: map.assertion.enabled,
        ttlMs: map.assertion.ttl,
        claims: map.assertion.claims.map((path) => sure(path)),
      },
    },
    bearerIssuers: new Map(
      Object.entries(s.bearer_issuers).map(([name, b]) => [
        name,
        { name, issuer: sure(b.issuer), audience: sure(b.audience) },
      ]),
    ),
    limits: {
      login: s.limits.login,
      callback: s.limits.callback,
      nativeGrant: s.limits.native_grant,
      backchannelLogout: s.limits.backchannel_logout,
    },
    log: s.log,
    routes: routes.routes.map(buildRoute),
  }
}

function buildServer({ settings: { server: s }, settings }: Source, dir: string): ServerSettings {
  const tls = s.verify_tls
  // Absolute, because the files are read again whenever they change, and the working directory is none of theirs.
  const path = (p: string | undefined): string => resolve(dir, sure(p))
  return {
    publicUrls: publicUrls(settings).map(({ url }) => url),
    listen: s.listen,
    ...given({ loginOrigin: s.login_url === undefined ? undefined : originText(s.login_url) }),
    ...given({ verifyListen: s.verify_listen, adminListen: s.admin_listen, adminToken: s.admin_token }),
    ...(tls === undefined
      ? {}
      : {
          verifyTls: {
            cert: path(tls.cert),
            key: path(tls.key),
            ...(tls.client_ca === undefined ? {} : { clientCa: path(tls.client_ca) }),
          },
        }),
    drainDelayMs: s.drain_delay,
    verifySessionAgeMs: s.verify_session_age,
    trustedProxies: s.trusted_proxies,
    clientIp: s.client_ip,
    basePath: s.base_path,
    corsOrigins: s.cors_origins,
  }
}

function buildSession({ settings: { session: s } }: Source, dir: string): SessionSettings {
  const file = (p: string | undefined): string | undefined => (p === undefined ? undefined : resolve(dir, p))
  const { ca, cert, key } = s.store_tls ?? {}
  return {
    secrets: sure(s.secret),
    store: s.store,
    ...(s.store_tls === undefined ? {} : { storeTls: given({ ca: file(ca), cert: file(cert), key: file(key) }) }),
    keyPrefix: s.key_prefix,
    stateDir: s.state_dir,
    cookieName: s.cookie_name,
    ...(s.cookie_domain === '' ? {} : { cookieDomain: s.cookie_domain }),
    sameSite: s.same_site,
    idleTimeoutMs: s.idle_timeout,
    absoluteTimeoutMs: s.absolute_timeout,
    stallTimeoutMs: s.stall_timeout,
    followIdToken: s.follow_id_token,
  }
}
