import { z } from './zod.ts'
import { parseRoutePath, parseUpstreamPath } from '../values/path.ts'
import { parseBaseUrl } from '../values/url.ts'
import { parseHost, parseMethod } from '../values/words.ts'
import { about, duration, list, named, parsed, section, text } from './parts.ts'
import { require } from './services.ts'

const route = section({
  id: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/)
    .optional()
    .meta(about('Names it in logs, metrics and `explain`; each once.', { required: true })),
  path: parsed(parseRoutePath)
    .optional()
    .meta(about('Exact, or `/x/*`: `/x`, `/x/` and all below. The most specific wins.', { required: true })),
  host: parsed(parseHost)
    .optional()
    .meta(about('Only on this public host; `*.apps.example.com` is any one label. Left out: on all.')),
  methods: list(parsed(parseMethod)).optional().meta(about('Only these. Left out: any.')),
  auth: z
    .enum(['session', 'public', 'deny'])
    .prefault('session')
    .meta(about('`public` reads no session and carries no identity; `deny` answers 403.')),
  target_service: text().optional().meta(about('Whose token goes upstream. Left out: identity headers and no token.')),
  upstream_path: parsed(parseUpstreamPath)
    .optional()
    .meta(about('Proxied: the path below `base_url`; `{path}` is what `*` matched.')),
  csrf: z
    .enum(['token', 'origin', 'strict', 'off'])
    .optional()
    .meta(about('Default: `token` with a `target_service`, `origin` without. `strict` wants the token on GET too.')),
  require: require.optional().meta(about('Who may; every key that is there must hold.')),
  encoded: list(z.enum(['slash', 'percent', 'semicolon']))
    .prefault([])
    .meta(about('Encoded characters that this route takes and others refuse.')),
  bearer: list(text())
    .prefault([])
    .meta(about('Names in `bearer_issuers`: whose tokens are taken in place of a session.')),
  timeout: duration('10ms', '1h').optional().meta(about('Proxied: until the upstream’s response headers.')),
  websocket_max_age: duration('1s', '30d').optional().meta(about('Proxied: a WebSocket ends after so long.')),
})

const upstream = section({
  base_url: parsed(parseBaseUrl)
    .optional()
    .meta(about('Where the service answers; wanted once one of its routes is proxied.')),
  require: require.optional().meta(about('Asked beside each route’s own; both must hold.')),
})

/** routes.yaml as a whole. */
export const routesSchema = section({
  services: named(upstream)
    .prefault({})
    .meta(about('Upstreams by name, as in `service_audiences` and `service_tokens`.')),
  routes: list(route).prefault([]).meta(about('What is let through, and how. What no route matches is 403.')),
})
