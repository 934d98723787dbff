import type { z } from 'zod'
import { auth, bearerIssuers, clients } from './auth.ts'
import { about, section } from './parts.ts'
import { log, server } from './server.ts'
import { identityHeaders, serviceAudiences, serviceScopes, serviceTokens } from './services.ts'
import { limits, session, tokens } from './session.ts'

export { routesSchema } from './routes.ts'
import type { routesSchema } from './routes.ts'

/** settings.yaml as a whole: the one source of what keys there are, of the JSON Schema and of the reference. */
export const settingsSchema = section({
  server: server.prefault({}).meta(about('Where we listen, and whom we believe.')),
  auth: auth.prefault({}).meta(about('The OpenID provider, and who we are there.')),
  session: session.prefault({}).meta(about('The session and its cookie.')),
  tokens: tokens.prefault({}).meta(about('How tokens for services are obtained.')),
  service_audiences: serviceAudiences.prefault({}).meta(about('Service name to audience: the short form.')),
  service_scopes: serviceScopes.prefault({}).meta(about('Service name to scopes, a text or a list.')),
  service_tokens: serviceTokens.prefault({}).meta(about('The long form, by service name.')),
  clients: clients.prefault({}).meta(about('The second client and more; none of them may be the login client.')),
  identity_headers: identityHeaders.prefault({}).meta(about('What upstreams are told of the user.')),
  bearer_issuers: bearerIssuers.prefault({}).meta(about('Machine callers; a route names them in `bearer`.')),
  limits: limits.prefault({}).meta(about('Rates, each for one client address.')),
  log: log.prefault({}).meta(about('What is written to standard output.')),
})

/** Both files after the schema: typed, defaults filled in, faulty values left out. Required keys may still be missing. */
export interface Draft {
  readonly settings: z.output<typeof settingsSchema>
  readonly routes: z.output<typeof routesSchema>
}
export type DraftSettings = Draft['settings']
export type DraftRoute = Draft['routes']['routes'][number]
export type DraftService = DraftSettings['service_tokens'][string]
export type DraftProvider = NonNullable<DraftSettings['auth']['providers']>[string]
export type DraftClient = DraftSettings['clients'][string]
export type DraftRequire = NonNullable<DraftRoute['require']>
