import { z } from './zod.ts'
import { parseStore } from '../values/store-url.ts'
import { parseCookieDomain, parseCookieName } from '../values/words.ts'
import { secret } from '../secret.ts'
import { parseRate } from '../values/time.ts'
import { about, duration, flag, parsed, section, text } from './parts.ts'

const secrets = z
  .union([text(), z.array(text()).min(1)], { error: 'must be a text or a list of texts' })
  .transform((v) => (typeof v === 'string' ? [v] : v).map(secret))

/** Files, so that a renewed certificate is in force at the next connection. */
const storeTls = section({
  ca: text().optional().meta(about('PEM file of the CA that signed the server’s certificate. Left out: the system’s.')),
  cert: text().optional().meta(about('PEM file of our certificate, where the server wants one.')),
  key: text().optional().meta(about('PEM file of its private key.')),
})

/** `session:` */
export const session = section({
  secret: secrets
    .optional()
    .meta(about('32 bytes or more. A list rotates: the first signs, all verify.', { restart: true, required: true })),
  store: parsed(parseStore)
    .transform(secret)
    .prefault('sqlite:./data/sessions.db')
    .meta(
      about(
        'Where sessions are kept: `sqlite:<file>`, `sqlite::memory:`, `redis://`, `redis+sentinel://`, `redis+cluster://`, with TLS `rediss://`, `rediss+sentinel://`, `rediss+cluster://`. See [stores](stores.md).',
        {
          restart: true,
        },
      ),
    ),
  store_tls: storeTls
    .optional()
    .meta(
      about('TLS to Redis, beside a `rediss…://` store: files relative to the config directory.', { restart: true }),
    ),
  // Braces would choose the hash tag, which is the session's: all of its keys share one slot.
  key_prefix: z
    .string()
    .regex(/^[\x21-\x7a|\x7e]{0,64}$/, { error: 'must be at most 64 printable characters without { and }' })
    .prefault('bff:')
    .meta(about('In front of every key in Redis.', { restart: true })),
  state_dir: text()
    .prefault('./data')
    .meta(
      about(
        'A folder for what must outlive a restored snapshot: when `sessions revoke --all` was last run. With SQLite that lies beside the database, and here too where the folder is there.',
        { restart: true },
      ),
    ),
  cookie_name: parsed(parseCookieName)
    .prefault('bff_session')
    .meta(about('The one session cookie.', { restart: true })),
  cookie_domain: parsed(parseCookieDomain, () => z.string())
    .prefault('')
    .meta(
      about('A parent of every public host, to share the session among them. Empty: host only.', { restart: true }),
    ),
  same_site: z
    .enum(['lax', 'strict', 'none'])
    .prefault('lax')
    .meta(
      about('`none` lets other sites embed the app, and needs https everywhere and a `same_site_reason`.', {
        restart: true,
      }),
    ),
  same_site_reason: text()
    .regex(/^$|\S/)
    .optional()
    .meta(about('Why `same_site: none`, in words for whoever reads this file next; `none` without it is a fault.')),
  idle_timeout: duration('1s', '90d')
    .prefault('30m')
    .meta(about('Ends after so long without a request; kept in the store, the cookie has no Max-Age.')),
  absolute_timeout: duration('1s', '365d').prefault('12h').meta(about('Ends so long after login, whatever happens.')),
  stall_timeout: duration('100ms', '60s')
    .prefault('1500ms')
    .meta(about('How long a store connection that stalls may go unnoticed.', { restart: true })),
  follow_id_token: flag()
    .prefault(false)
    .meta(about('Never outlives the id token’s `exp`; a refresh that brings a new one moves it on.')),
})

/** `tokens:` */
export const tokens = section({
  audience_parameter: z
    .enum(['audience', 'resource', 'both', 'none'])
    .prefault('audience')
    .meta(about('How the provider is told for whom a token is; per service too. `resource` is RFC 8707.')),
  warm_up: z
    .enum(['login', 'lazy'])
    .prefault('login')
    .meta(about('Fetch the services’ tokens at login, or when first needed.')),
  deadline: duration('100ms', '60s').prefault('8s').meta(about('`/auth/verify` answers by then whatever happens.')),
  invalid_grant_grace: duration('0s', '1h')
    .prefault('60s')
    .meta(about('How long a session stays suspended, not ended, when the provider says `invalid_grant`.')),
})

/** `limits:` */
export const limits = section({
  login: parsed(parseRate).prefault('600/m').meta(about('Logins begun, per client address: `10/s`, `600/m`, `100/h`.')),
  callback: parsed(parseRate).prefault('600/m').meta(about('Callbacks, per client address.')),
  native_grant: parsed(parseRate)
    .prefault('10/m')
    .meta(about('Attempts at `/auth/login/grant/<name>`, per client address and per identifier.')),
  backchannel_logout: parsed(parseRate).prefault('600/m').meta(about('Logout tokens, per client address.')),
})
