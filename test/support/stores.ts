import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import session from 'express-session'
import { secret } from '../../config/secret.ts'
import type { SessionSettings } from '../../config/types.ts'
import { systemClock } from '../../middleware/clock.ts'
import { handleOf, newSessionId } from '../../middleware/session/handle.ts'
import { openStores, type Stores } from '../../middleware/session/open-stores.ts'
import {
  StoreUnavailable,
  type BffEvent,
  type EpochMs,
  type NewSession,
  type SessionId,
  type SessionRecord,
} from '../../middleware/types.ts'

export const random = (n: number): Uint8Array => randomBytes(n)
export const now = (): EpochMs => Date.now() as EpochMs

export interface Opened {
  readonly stores: Stores
  readonly events: BffEvent[]
}

export function settingsFor(
  store: string,
  over: Partial<SessionSettings> & Pick<SessionSettings, 'stateDir'>,
): SessionSettings {
  return {
    secrets: [secret('0123456789abcdef0123456789abcdef')],
    store: secret(store),
    keyPrefix: 'bff:',
    cookieName: 'bff_session',
    sameSite: 'lax',
    idleTimeoutMs: 60_000,
    absoluteTimeoutMs: 3_600_000,
    stallTimeoutMs: 1500,
    followIdToken: false,
    ...over,
  }
}

/** The stores alone, as a server opens them; each opening is another replica. */
export async function open(store: string, over: Partial<SessionSettings> = {}): Promise<Opened> {
  const events: BffEvent[] = []
  const settings = settingsFor(store, { stateDir: mkdtempSync(join(tmpdir(), 'bff-state-')), ...over })
  return { stores: await openStores({ settings, clock: systemClock, emit: (e) => events.push(e), random }), events }
}

/** A live session, with record and state. */
export async function create(s: Stores, over: Partial<SessionRecord> = {}): Promise<SessionId> {
  const id = newSessionId(random)
  const record: NewSession['record'] = {
    v: 1,
    handle: handleOf(id),
    provider: 'default',
    issuer: 'https://idp',
    sub: 'alice',
    origin: 'http://localhost:8000',
    createdAt: now(),
    expiresAt: (now() + 3_600_000) as EpochMs,
    ip: '',
    userAgent: '',
    ...over,
  }
  await s.sessions.open(id, {
    record,
    state: { identity: {}, authTime: now(), scopes: [], failed: [] },
    refreshToken: secret('r'),
    idToken: undefined,
    tokens: [],
  })
  await saveRecord(s, id, record)
  return id
}

export async function saveRecord(s: Stores, id: SessionId, record: SessionRecord): Promise<void> {
  const store = await s.expressStore()
  return new Promise((resolve, reject) => {
    store.set(id, { cookie: new session.Cookie(), bff: record }, (e: unknown) =>
      e instanceof Error ? reject(e) : resolve(),
    )
  })
}

export const named = (events: readonly BffEvent[], name: string): number => events.filter((e) => e.name === name).length

/** Whether it fails as an outage does. */
export const failing = (work: () => Promise<unknown>): Promise<boolean> =>
  work().then(
    () => false,
    (e: unknown) => e instanceof StoreUnavailable,
  )
