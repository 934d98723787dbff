import { randomBytes } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import type { Settings } from '../../../config/types.ts'
import { secret } from '../../../config/secret.ts'
import { systemClock } from '../../../middleware/clock.ts'
import { writeSessionCookie } from '../../../middleware/session/cookie.ts'
import { handleOf, newSessionId } from '../../../middleware/session/handle.ts'
import { deriveKeys } from '../../../middleware/session/keys.ts'
import type { NewStored, SessionBackend } from '../../../middleware/session/backend.ts'
import { createSealer } from '../../../middleware/session/seal.ts'
import { writeRecord } from '../../../middleware/session/serialize.ts'
import { createSessions } from '../../../middleware/session/sessions.ts'
import { openStores, type Stores } from '../../../middleware/session/open-stores.ts'
import type { Claims, EpochMs, NewSession, SessionId, ServiceToken, TokenId } from '../../../middleware/types.ts'
import { createClient } from 'redis'
import { ORDERS, BILLING, ORIGIN } from '../../support/service.ts'
import { Pipe } from './resp.ts'

/** `realistic`: refresh, id and login token and two service tokens of about a kilobyte each. `minimal`: who it is, and no token. */
export type Kind = 'realistic' | 'minimal'

const random = (bytes: number): Uint8Array => randomBytes(bytes)
/** What the store adds to a session's expiry, so that the reason of its end can still be told. */
const TOMBSTONE_MS = 60 * 60_000

export interface Seeder {
  /** Writes so many sessions, and one cookie a line into `file`. */
  add(count: number, kind: Kind, file: string): Promise<void>
  /** Throws where what `add` writes is not, key by key and field by field, what the product's own store writes. */
  compare(): Promise<void>
}

/**
 * Sessions as sign-ins would write them, without the sign-ins: sealed and indexed by the product's own code, then written
 * in bulk in the very form of its Redis store, which `compare` holds against the store itself.
 */
export function openSeeder(
  settings: Settings,
  issuer: string,
  redis: { readonly port: number; readonly url: string },
): Seeder {
  const sealer = createSealer(deriveKeys(settings.session.secrets, 'vault v1'), random)
  const [key = ''] = deriveKeys(settings.session.secrets, 'session cookie').map((k) => k.toString('hex'))
  const { cookieName, keyPrefix } = settings.session
  let taken: NewStored | undefined
  const sessions = createSessions({
    backend: { open: async (_id: SessionId, s: NewStored) => void (taken = s) } as unknown as SessionBackend,
    sealer,
    indexKeys: deriveKeys(settings.session.secrets, 'index'),
    openRecord: () => undefined,
    epoch: {
      settle: () => undefined,
      revokedBefore: () => 0 as EpochMs,
      raise: () => Promise.resolve(),
      close: () => undefined,
    },
    idleTimeoutMs: () => settings.session.idleTimeoutMs,
    emit: () => undefined,
  })
  const put = async (pipe: Pipe, id: SessionId, s: NewSession): Promise<void> => {
    await sessions.open(id, s)
    if (taken === undefined) throw new Error('nothing was sealed')
    const record = sealer.seal(JSON.stringify({ cookie: COOKIE, bff: writeRecord(s.record) }), 'record', id)
    writeStored(pipe, keyPrefix, id, taken, record)
    await pipe.flush(256_000)
  }
  let n = 0
  return {
    add: async (count, kind, file) => {
      const pipe = await Pipe.open(redis.port)
      let lines: string[] = []
      for (let i = 0; i < count; i++) {
        const id = newSessionId(random)
        await put(pipe, id, newSession(id, kind, issuer, `user-${n++}`, settings))
        lines.push(`${cookieName}=${writeSessionCookie(id, key)}\n`)
        if (lines.length < 10_000 && i < count - 1) continue
        appendFileSync(file, lines.join(''))
        lines = []
      }
      await pipe.end()
    },
    compare: async () => {
      const [ours, theirs] = [newSessionId(random), newSessionId(random)]
      const pipe = await Pipe.open(redis.port)
      await put(pipe, ours, newSession(ours, 'realistic', issuer, 'compared-1', settings))
      await pipe.end()
      const stores = await openStores({ settings: settings.session, clock: systemClock, emit: () => undefined, random })
      await throughStore(stores, theirs, newSession(theirs, 'realistic', issuer, 'compared-2', settings))
      await stores.close()
      await sameForm(redis.url, ours, theirs)
    },
  }
}

const COOKIE = { originalMaxAge: null, expires: null, secure: true, httpOnly: true, path: '/', sameSite: 'lax' }

function writeStored(pipe: Pipe, prefix: string, id: SessionId, s: NewStored, record: string): void {
  const name = `${prefix}sess:${id}`
  const until = String(s.expiresAt + TOMBSTONE_MS)
  const slots = Object.entries(s.slots).flatMap(([slot, value]) => [`t:${slot}`, value])
  const fields = ['v', '1', 'r', '1', 's', s.state, 'i', String(s.idleUntil), 'x', until, 'f', '0']
  pipe.command('HSET', `${prefix}state:{${name}}`, ...fields, 'ix', JSON.stringify(s.indexes), ...slots)
  pipe.command('PEXPIREAT', `${prefix}state:{${name}}`, until)
  pipe.command('SET', name, record, 'PXAT', until)
  for (const index of s.indexes) {
    pipe.command('SADD', `${prefix}index:{${index}}`, id)
    pipe.command('PEXPIREAT', `${prefix}index:{${index}}`, until)
  }
}

/** As the product writes it at a sign-in. */
export async function throughStore(stores: Stores, id: SessionId, s: NewSession): Promise<void> {
  await stores.sessions.open(id, s)
  const store = await stores.expressStore()
  await new Promise<void>((resolve, reject) =>
    store.set(id, { cookie: COOKIE, bff: s.record } as never, (e: unknown) =>
      e === undefined || e === null ? resolve() : reject(e instanceof Error ? e : new Error('not saved')),
    ),
  )
}

async function sameForm(url: string, ours: SessionId, theirs: SessionId): Promise<void> {
  const client = await createClient({ url }).connect()
  const form = async (id: SessionId): Promise<string> => {
    const own = (await client.keys(`*${id}*`)).sort()
    const parts = await Promise.all(
      own.map(async (key) => {
        const type = await client.type(key)
        const fields =
          type === 'hash' ? Object.entries(await client.hGetAll(key)).map(([k, v]) => `${k}:${v.length}`) : []
        return `${key.replace(id, 'ID')} ${type} ${fields.sort().join(' ')}`
      }),
    )
    const indexes = await Promise.all(
      (await client.keys('*index*')).map(async (k) => ((await client.sIsMember(k, id)) ? k.length : 0)),
    )
    return [...parts, ...indexes.filter((l) => l > 0)].join('\n')
  }
  const [a, b] = [await form(ours), await form(theirs)]
  client.destroy()
  if (a !== b) throw new Error(`the bench writes sessions in another form than the store:\n${a}\n--- store:\n${b}`)
}

/** A session as a sign-in makes it. */
export function newSession(id: SessionId, kind: Kind, issuer: string, sub: string, settings: Settings): NewSession {
  const now = systemClock.wallMs()
  const full = kind === 'realistic'
  const identity: Claims = full
    ? {
        sub,
        email: `${sub}@example.com`,
        email_verified: true,
        name: 'Alice Example',
        groups: ['staff', 'billing', 'eu'],
      }
    : { sub }
  return {
    record: {
      v: 1,
      handle: handleOf(id),
      provider: [...settings.providers.keys()][0] ?? '',
      issuer,
      sub,
      ...(full ? { sid: randomBytes(16).toString('hex') } : {}),
      origin: ORIGIN,
      createdAt: now,
      expiresAt: (now + settings.session.absoluteTimeoutMs) as EpochMs,
      ip: '203.0.113.7',
      userAgent: full ? 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' : '',
    },
    state: {
      identity,
      authTime: now,
      scopes: full ? ['openid', 'profile', 'email', 'offline_access'] : [],
      failed: [],
    },
    refreshToken: full ? secret(text(900)) : undefined,
    idToken: full ? secret(text(1000)) : undefined,
    tokens: full ? [token('@login', issuer), token('orders', ORDERS), token('billing', BILLING)] : [],
  }
}

function token(service: string, audience: string): ServiceToken {
  const now = systemClock.wallMs()
  return {
    id: text(12) as TokenId,
    service,
    value: secret(text(1000)),
    type: 'Bearer',
    audiences: [audience],
    scopes: ['api.read'],
    receivedAt: now,
    expiresAt: (now + 3_600_000 * 6) as EpochMs,
  }
}

/** As incompressible as a signed token is. */
function text(length: number): string {
  return randomBytes(Math.ceil((length * 3) / 4))
    .toString('base64url')
    .slice(0, length)
}
