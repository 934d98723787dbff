import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { formatFinding, loadConfig } from '../config/load.ts'
import type { Settings } from '../config/types.ts'
import { systemClock } from '../middleware/clock.ts'
import { endsAt, livesUntil } from '../middleware/login/current-session.ts'
import { createEnder, type Ender } from '../middleware/login/end.ts'
import { providerOfSession } from '../middleware/provider/of-session.ts'
import { createProvider } from '../middleware/provider/provider.ts'
import { openStores, type Stores } from '../middleware/session/open-stores.ts'
import type { Handle, LiveSession, SessionId } from '../middleware/types.ts'

export interface SessionsArgs {
  readonly action: string | undefined
  readonly target: string | undefined
  readonly all: boolean
  readonly json: boolean
}

type Print = (line: string) => void

/**
 * `traefik-bff sessions list [--json] | revoke <user or session id> | revoke --all`, beside running servers, on either store.
 * What is revoked is told to every replica, and its refresh token is revoked at the provider.
 *
 * @returns exit code: 0 done, 1 nothing found or the store is away, 2 wrong usage or an unreadable config
 */
export async function sessions(
  dir: string,
  env: NodeJS.ProcessEnv,
  args: SessionsArgs,
  print: Print,
  complain: Print,
): Promise<number> {
  if (!isUsage(args)) {
    complain('usage: traefik-bff sessions list [--json] | revoke <user or session id> | revoke --all')
    return 2
  }
  const loaded = loadConfig(dir, env)
  if (!loaded.ok) {
    for (const f of loaded.faults) complain(formatFinding(f))
    return 2
  }
  const { settings } = loaded
  if (settings.session.store.reveal() === 'sqlite::memory:') {
    complain('session.store is sqlite::memory:, which only the server itself can see')
    return 2
  }
  const file = /^sqlite:(.*)$/s.exec(settings.session.store.reveal())?.[1]
  if (file !== undefined && !existsSync(file)) {
    complain(
      `traefik-bff sessions: there is no ${file}; a relative path counts from the folder that the service runs in`,
    )
    return 1
  }
  const stores = await openStores({
    settings: {
      ...settings.session,
      stallTimeoutMs: Math.max(settings.session.stallTimeoutMs, STALL_MS),
    },
    clock: systemClock,
    emit: (e) => e.name === 'store_warning' && complain(`traefik-bff sessions: ${String(e.fields?.['detail'])}`),
    random: (n) => randomBytes(n),
  })
  try {
    await untilUp(stores)
    return args.action === 'list'
      ? await list(stores, settings, args.json, print)
      : await revoke(stores, settings, args, print)
  } catch (e) {
    const cause = e instanceof Error && e.cause instanceof Error ? `: ${e.cause.message}` : ''
    complain(`traefik-bff sessions: ${e instanceof Error ? e.message : 'failed'}${cause}`)
    return 1
  } finally {
    await stores.close()
  }
}

/** Nobody is answered from memory here, so a store that is slow, or a machine that is busy, is waited for. */
const STALL_MS = 6000
const PATIENCE_MS = 5000

async function untilUp({ sessions }: Stores): Promise<void> {
  const deadline = systemClock.monoMs() + PATIENCE_MS
  for (;;) {
    const { up, detail } = await sessions.health()
    if (up) return
    if (systemClock.monoMs() >= deadline)
      throw new Error(`the session store does not answer${detail === undefined ? '' : `: ${detail}`}`)
    await systemClock.sleep(100)
  }
}

function isUsage(a: SessionsArgs): boolean {
  if (a.action === 'list') return a.target === undefined && !a.all
  return a.action === 'revoke' && !a.json && a.all !== (a.target !== undefined)
}

/** One at a time, however many there are. As JSON an array with one session a line. */
async function list(stores: Stores, settings: Settings, json: boolean, print: Print): Promise<number> {
  let count = 0
  if (json) {
    for await (const s of live(stores, settings))
      print(`${count++ === 0 ? '[' : ','}${JSON.stringify(asJson(s, settings))}`)
    print(count === 0 ? '[]' : ']')
    return 0
  }
  print(['SESSION', 'USER', 'ISSUER', 'SINCE', 'UNTIL', 'ADDRESS', 'DEVICE'].join('\t'))
  for await (const s of live(stores, settings)) {
    const { handle, sub, issuer, createdAt, ip, userAgent } = s.record
    const until = livesUntil(s, settings.session)
    count += 1
    print([handle, sub, issuer, iso(createdAt), iso(until), ip, userAgent].map(printable).join('\t'))
  }
  print(`${count} session${count === 1 ? '' : 's'}`)
  return 0
}

async function* live(stores: Stores, settings: Settings): AsyncIterable<LiveSession> {
  for await (const s of stores.sessions.list()) if (livesUntil(s, settings.session) > Date.now()) yield s
}

function asJson(s: LiveSession, settings: Settings): object {
  const r = s.record
  return {
    id: r.handle,
    sub: r.sub,
    issuer: r.issuer,
    provider: r.provider,
    created_at: iso(r.createdAt),
    expires_at: iso(endsAt(s, settings.session)),
    idle_expires_at: iso(livesUntil(s, settings.session)),
    ip: r.ip,
    user_agent: r.userAgent,
  }
}

async function revoke(stores: Stores, settings: Settings, a: SessionsArgs, print: Print): Promise<number> {
  const random = (n: number): Uint8Array => randomBytes(n)
  const providers = new Map(
    [...settings.providers].map(([name, p]) => [
      name,
      createProvider({ settings: p, clock: systemClock, emit: () => undefined, random }),
    ]),
  )
  const ender = createEnder({
    sessions: stores.sessions,
    vault: stores.vault,
    emit: () => undefined,
    provider: (record) => providerOfSession(providers, record),
  })
  let ended = 0
  if (a.all) {
    ended = await revokeAll(stores, ender)
  } else {
    const found = await find(stores, settings, a.target ?? '')
    await ender.end(
      found.map((s) => s.id),
      'revoked',
    )
    ended = found.length
  }
  await ender.drain()
  for (const p of providers.values()) p.close()
  print(`${ended} session${ended === 1 ? '' : 's'} ended`)
  return ended > 0 || a.all ? 0 : 1
}

const BATCH = 100
/** How long the provider may hold up the next batch; its revocations go on beside it. */
const REVOCATIONS_MS = 1000

/**
 * First the epoch, with which every server refuses what is older at once; then each session is removed, also one that cannot be
 * opened any more. The epoch ends above the newest session seen, whose server's clock may be ahead of ours.
 */
async function revokeAll({ sessions }: Stores, ender: Ender): Promise<number> {
  const at = systemClock.wallMs()
  await sessions.revokeAll(at)
  let [ended, newest] = [0, at]
  const end = async (ids: readonly SessionId[]): Promise<void> => {
    for (const s of await Promise.all(ids.map(async (id) => sessions.loadToEnd(id))))
      if (s !== undefined && s.record.createdAt > newest) newest = s.record.createdAt
    await ender.end(ids, 'revoked')
    ended += ids.length
    const enough = new AbortController()
    await Promise.race([ender.drain(), systemClock.sleep(REVOCATIONS_MS, enough.signal)])
    enough.abort()
  }
  let batch: SessionId[] = []
  for await (const id of sessions.ids()) {
    batch.push(id)
    if (batch.length < BATCH) continue
    await end(batch)
    batch = []
  }
  await end(batch)
  if (newest > at) await sessions.revokeAll(newest)
  return ended
}

/** A session's id as `list` and `X-Session-ID` show it, or a user's `sub` at any of the configured providers. */
async function find(stores: Stores, settings: Settings, target: string): Promise<readonly LiveSession[]> {
  const found = new Map<string, LiveSession>()
  for (const s of await stores.sessions.find({ handle: target as Handle })) found.set(s.id, s)
  for (const p of settings.providers.values()) {
    // The provider's own spelling of its issuer may end in a slash or not; sessions keep its own.
    for (const issuer of new Set([p.issuer.href, p.issuer.href.replace(/\/$/, '')])) {
      for (const s of await stores.sessions.find({ issuer, sub: target })) found.set(s.id, s)
    }
  }
  return [...found.values()]
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

/** A user agent is whatever a client says: nothing of it may steer a terminal. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}
