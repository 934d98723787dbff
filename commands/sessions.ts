import { randomBytes } from 'node:crypto'
import { formatFinding, loadConfig } from '../config/load.ts'
import type { Settings } from '../config/types.ts'
import { systemClock } from '../middleware/clock.ts'
import { livesUntil } from '../middleware/login/current-session.ts'
import { createEnder } from '../middleware/login/end.ts'
import { createProvider } from '../middleware/provider/provider.ts'
import { openStores, type Stores } from '../middleware/session/open-stores.ts'
import type { Handle, LiveSession } from '../middleware/types.ts'

export interface SessionsArgs {
  readonly action: string | undefined
  readonly target: string | undefined
  readonly all: boolean
}

type Print = (line: string) => void

/**
 * `traefik-bff sessions list | revoke <user or session id> | revoke --all`, beside running servers, on either store. What is
 * revoked is told to every replica, and its refresh token is revoked at the provider.
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
    complain('usage: traefik-bff sessions list | revoke <user or session id> | revoke --all')
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
  const random = (n: number): Uint8Array => randomBytes(n)
  const stores = await openStores({ settings: settings.session, clock: systemClock, emit: () => undefined, random })
  try {
    if (!(await stores.sessions.health()).up) throw new Error('the session store does not answer')
    return args.action === 'list' ? await list(stores, settings, print) : await revoke(stores, settings, args, print)
  } catch (e) {
    complain(`traefik-bff sessions: ${e instanceof Error ? e.message : 'failed'}`)
    return 1
  } finally {
    await stores.close()
  }
}

function isUsage(a: SessionsArgs): boolean {
  if (a.action === 'list') return a.target === undefined && !a.all
  return a.action === 'revoke' && a.all !== (a.target !== undefined)
}

async function list(stores: Stores, settings: Settings, print: Print): Promise<number> {
  let count = 0
  print(['SESSION', 'USER', 'ISSUER', 'SINCE', 'UNTIL', 'ADDRESS', 'DEVICE'].join('\t'))
  for await (const s of stores.sessions.list()) {
    const { handle, sub, issuer, createdAt, ip, userAgent } = s.record
    const until = livesUntil(s, settings.session)
    if (until <= Date.now()) continue
    count += 1
    print([handle, sub, issuer, iso(createdAt), iso(until), ip, userAgent].map(printable).join('\t'))
  }
  print(`${count} session${count === 1 ? '' : 's'}`)
  return 0
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
    provider: (name) => providers.get(name),
  })
  let ended = 0
  if (a.all) {
    for await (const s of stores.sessions.list()) ended += await endOne(s)
  } else {
    for (const s of await find(stores, settings, a.target ?? '')) ended += await endOne(s)
  }
  await ender.drain()
  for (const p of providers.values()) p.close()
  print(`${ended} session${ended === 1 ? '' : 's'} ended`)
  return ended > 0 || a.all ? 0 : 1

  async function endOne(s: LiveSession): Promise<number> {
    await ender.end([s.id], 'revoked')
    return 1
  }
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
