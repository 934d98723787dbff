/**
 * `npm run bench -- steps [loops]`: one warm check without a network: processor time and bytes allocated for each, from the
 * raw request to the answer, in this process. With `node --cpu-prof test/bench/steps.ts` it says where they go.
 */
import { mkdtempSync, openSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString, getHeapStatistics } from 'node:v8'
import pino from 'pino'
import { compose, type LongLived } from '../../compose.ts'
import { loadConfig } from '../../config/load.ts'
import type { Settings } from '../../config/types.ts'
import { systemClock } from '../../middleware/clock.ts'
import { createRandom } from '../../middleware/random.ts'
import { createEnder } from '../../middleware/login/end.ts'
import { createRateLimiter } from '../../middleware/login/rate-limit.ts'
import { rawFromHttp1 } from '../../middleware/mouths/http1.ts'
import { verify, type VerifyDeps } from '../../middleware/mouths/verify.ts'
import { writeSessionCookie } from '../../middleware/session/cookie.ts'
import { newSessionId } from '../../middleware/session/handle.ts'
import { deriveKeys } from '../../middleware/session/keys.ts'
import { openStores } from '../../middleware/session/open-stores.ts'
import { createTelemetry } from '../../middleware/telemetry/telemetry.ts'
import { writeConfig } from '../support/service.ts'
import { median, rounded } from './load/client.ts'
import { newSession, throughStore } from './load/seed.ts'
import { checkHeaders } from './load/service.ts'

const LOOPS = Number(process.argv[2] ?? 3000)
const ROUNDS = 9
setFlagsFromString('--expose-gc')

const dir = mkdtempSync(join(tmpdir(), 'bff-steps-'))
const out: Record<string, { us: number; bytes: number }> = {}
for (const level of ['warn', 'info'] as const) out[`log at ${level}`] = await measure(level)
console.log(JSON.stringify({ bench: 'steps', warm_verify: out }))
rmSync(dir, { recursive: true, force: true })

async function measure(level: 'warn' | 'info'): Promise<{ us: number; bytes: number }> {
  writeConfig(dir, 'http://127.0.0.1:9', { store: 'sqlite::memory:' })
  const loaded = loadConfig(dir, {})
  if (!loaded.ok) throw new Error('the config of the bench does not load')
  const { deps, raw, stop } = await parts(loaded.settings, level)
  const round = (): { us: number; bytes: number } => {
    globalThis.gc?.()
    const heap = getHeapStatistics().used_heap_size
    const before = process.cpuUsage()
    for (let i = 0; i < LOOPS; i++) {
      const answer = verify(raw(), deps)
      if (answer instanceof Promise || answer.status !== 200) throw new Error('not a warm yes')
    }
    const { user, system } = process.cpuUsage(before)
    return { us: (user + system) / LOOPS, bytes: getHeapStatistics().used_heap_size - heap }
  }
  const rounds = Array.from({ length: ROUNDS }, round).slice(2)
  const bytes = allocated(() => verify(raw(), deps))
  await stop()
  return { us: rounded(median(rounds.map((r) => r.us))), bytes }
}

/** Bytes of one call, from runs that are too short for the collector to come in between. */
function allocated(call: () => unknown): number {
  const runs = Array.from({ length: 21 }, () => {
    const before = getHeapStatistics().used_heap_size
    for (let i = 0; i < 50; i++) call()
    return (getHeapStatistics().used_heap_size - before) / 50
  })
  return Math.round(median(runs))
}

async function parts(
  settings: Settings,
  level: 'warn' | 'info',
): Promise<{ deps: VerifyDeps; raw: () => ReturnType<typeof rawFromHttp1>; stop: () => Promise<void> }> {
  const clock = systemClock
  const random = createRandom()
  const telemetry = createTelemetry(level, pino.destination({ dest: openSync('/dev/null', 'w'), sync: false }))
  const stores = await openStores({ settings: settings.session, clock, emit: telemetry.emit, random })
  const keys = deriveKeys(settings.session.secrets, 'session cookie').map((k) => k.toString('hex'))
  const long: LongLived = {
    ...stores,
    clock,
    random,
    telemetry,
    ender: createEnder({
      sessions: stores.sessions,
      vault: stores.vault,
      emit: telemetry.emit,
      provider: () => undefined,
    }),
    limiter: createRateLimiter(clock),
    codeWantsResource: new Set(),
    unsupportedGrants: new Map(),
    attemptKeys: [],
    assertionKeys: [],
    cookies: { session: keys, csrf: deriveKeys(settings.session.secrets, 'csrf') },
    writeSession: () => Promise.reject(new Error('nobody signs in here')),
  }
  const composed = compose(1, settings, long, undefined)
  const id = newSessionId(random)
  await throughStore(stores, id, newSession(id, 'realistic', 'http://127.0.0.1:9/', 'alice', settings))
  const cookie = `theme=dark; ${settings.session.cookieName}=${writeSessionCookie(id, keys[0] ?? '')}`
  const rawHeaders = Object.entries({ ...checkHeaders('/orders/1'), cookie }).flat()
  const req = {
    method: 'GET',
    url: '/auth/verify?service=orders',
    rawHeaders,
    socket: { remoteAddress: '127.0.0.1' },
  } as unknown as IncomingMessage
  return {
    deps: composed.verifyDeps,
    raw: () => rawFromHttp1(req),
    stop: async () => {
      composed.close()
      await stores.close()
    },
  }
}
