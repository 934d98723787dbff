import { Refused } from '../finding.ts'

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** Where a Redis or Valkey is, taken apart. */
export interface RedisUrl {
  readonly kind: 'single' | 'sentinel' | 'cluster'
  readonly tls: boolean
  /** The server, the sentinels, or some nodes of the cluster. */
  readonly hosts: readonly [HostPort, ...HostPort[]]
  readonly username: string | undefined
  readonly password: string | undefined
  readonly database: number
  /** What the sentinels call the master; empty for the other kinds. */
  readonly master: string
  /** Sentinels have users of their own; none is the usual case. */
  readonly sentinelUsername: string | undefined
  readonly sentinelPassword: string | undefined
}

const KINDS: Readonly<Record<string, Pick<RedisUrl, 'kind' | 'tls'>>> = {
  redis: { kind: 'single', tls: false },
  rediss: { kind: 'single', tls: true },
  'redis+sentinel': { kind: 'sentinel', tls: false },
  'rediss+sentinel': { kind: 'sentinel', tls: true },
  'redis+cluster': { kind: 'cluster', tls: false },
  'rediss+cluster': { kind: 'cluster', tls: true },
}
const SENTINEL_QUERY = new Set(['sentinel_username', 'sentinel_password'])

/** Whether a store is a Redis or Valkey at all, by its scheme. */
export function isRedisUrl(store: string): boolean {
  return /^rediss?(?:\+\w+)?:/.test(store)
}

/**
 * Takes a store's address apart: `redis[s]://[user:password@]host[:port][/db]`,
 * `redis[s]+sentinel://…@host:port,host:port/master[/db][?sentinel_password=…]`, `redis[s]+cluster://…@host:port,host:port`.
 * User and password are percent-encoded, IPv6 addresses stand in brackets. Answers what is wrong with it in a sentence that
 * repeats nothing of it, since it may hold a password.
 */
export function parseRedisUrl(url: string): RedisUrl | { readonly wrong: string } {
  const cut = url.indexOf('://')
  const kind = KINDS[url.slice(0, Math.max(0, cut))]
  if (kind === undefined || /[\s#]/.test(url)) return { wrong: 'this is no address of a Redis' }
  const [beforeQuery, query = ''] = splitOnce(url.slice(cut + 3), '?')
  const slash = beforeQuery.indexOf('/')
  const authority = slash === -1 ? beforeQuery : beforeQuery.slice(0, slash)
  const path = slash === -1 ? [] : beforeQuery.slice(slash + 1).split('/')
  const at = authority.lastIndexOf('@')
  const [user, pass] = at === -1 ? [] : splitOnce(authority.slice(0, at), ':')
  const username = decoded(user)
  const password = decoded(pass)
  if (username === false || password === false)
    return { wrong: 'user and password of a store are percent-encoded: % is %25, @ is %40, / is %2F' }
  const hosts = parseHosts(authority.slice(at + 1), kind.kind === 'sentinel' ? 26_379 : 6379)
  if (hosts === undefined) return { wrong: 'a store’s hosts are host:port, an IPv6 address in brackets' }
  if (kind.kind === 'single' && hosts.length > 1)
    return { wrong: 'several hosts want redis+sentinel:// or redis+cluster://' }
  const rest = parsePath(kind.kind, path)
  if ('wrong' in rest) return rest
  const sentinel = parseQuery(kind.kind, query)
  if ('wrong' in sentinel) return sentinel
  return { ...kind, hosts, username, password, ...rest, ...sentinel }
}

/** Where sessions are kept. The address may hold a password, so nothing of it is ever repeated. */
export function parseStore(text: string): string | Refused {
  if (/^sqlite:.+/.test(text) && !text.startsWith('sqlite://')) return text
  const mend =
    'Write sqlite:./data/sessions.db, sqlite::memory:, redis://host:6379/0, redis+sentinel://host:26379/master or redis+cluster://host:6379,…; rediss… for TLS.'
  if (!isRedisUrl(text)) return new Refused('BAD_STORE', 'this is no session store', mend)
  const parsed = parseRedisUrl(text)
  return 'wrong' in parsed ? new Refused('BAD_STORE', parsed.wrong, mend) : text
}

function splitOnce(text: string, by: string): [string, string?] {
  const cut = text.indexOf(by)
  return cut === -1 ? [text] : [text.slice(0, cut), text.slice(cut + 1)]
}

/** undefined where there is nothing, false where the escapes are wrong. */
function decoded(text: string | undefined): string | undefined | false {
  if (text === undefined || text === '') return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return false
  }
}

function parseHosts(text: string, defaultPort: number): RedisUrl['hosts'] | undefined {
  const hosts: HostPort[] = []
  for (const one of text.split(',')) {
    const m = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/@]+))(?::(\d{1,5}))?$/.exec(one)
    const host = m?.[1] ?? m?.[2]
    const port = m?.[3] === undefined ? defaultPort : Number(m[3])
    if (host === undefined || port < 1 || port > 65_535) return undefined
    hosts.push({ host, port })
  }
  const [first, ...more] = hosts
  return first === undefined ? undefined : [first, ...more]
}

function parsePath(
  kind: RedisUrl['kind'],
  path: readonly string[],
): Pick<RedisUrl, 'master' | 'database'> | { readonly wrong: string } {
  const parts = path.at(-1) === '' ? path.slice(0, -1) : [...path]
  const master = kind === 'sentinel' ? decoded(parts.shift()) : ''
  if (master === undefined || master === false)
    return { wrong: 'redis+sentinel:// ends in the name of the master: redis+sentinel://host:26379/mymaster' }
  const [db, ...more] = parts
  if (more.length > 0 || (db !== undefined && !/^\d{1,5}$/.test(db)))
    return { wrong: 'behind the hosts of a store stands at most the number of a database' }
  if (kind === 'cluster' && db !== undefined && db !== '0') return { wrong: 'a cluster has database 0 alone' }
  return { master, database: Number(db ?? 0) }
}

function parseQuery(
  kind: RedisUrl['kind'],
  query: string,
): Pick<RedisUrl, 'sentinelUsername' | 'sentinelPassword'> | { readonly wrong: string } {
  const given = new URLSearchParams(query)
  const of = (name: string): string | undefined => given.get(name) ?? undefined
  for (const name of given.keys())
    if (kind !== 'sentinel' || !SENTINEL_QUERY.has(name))
      return { wrong: 'a store’s address has no such parameter; sentinel_username and sentinel_password are all' }
  return { sentinelUsername: of('sentinel_username'), sentinelPassword: of('sentinel_password') }
}
