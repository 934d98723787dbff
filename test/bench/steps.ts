/**
 * `npm run bench -- steps [loops]`: one warm check without a network: processor time and bytes allocated for each, in this
 * process; over HTTP/1.1 from the bytes of the request to those of the answer, over HTTP/2 from the decoded headers to the
 * answer. With `node --cpu-prof test/bench/steps.ts` it says where they go.
 */
import { mkdtempSync, openSync, rmSync } from 'node:fs'
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
import { headOfHttp1 } from '../../middleware/mouths/http1.ts'
import { rawFromStream } from '../../middleware/mouths/http2.ts'
import { rawFromPlain, readPlainRequest } from '../../middleware/mouths/plain-request.ts'
import { verify } from '../../middleware/mouths/verify.ts'
import { writeSessionCookie } from '../../middleware/session/cookie.ts'
import { newSessionId } from '../../middleware/session/handle.ts'
import { deriveKeys } from '../../middleware/session/keys.ts'
import { openStores } from '../../middleware/session/open-stores.ts'
import { createTelemetry } from '../../middleware/telemetry/telemetry.ts'
import type { Answer, RawRequest } from '../../middleware/types.ts'
import { writeConfig } from '../support/service.ts'
import { median, rounded } from './load/client.ts'
import { newSession, throughStore } from './load/seed.ts'
import { checkHeaders } from './load/service.ts'

const LOOPS = Number(process.argv[2] ?? 3000)
const ROUNDS = 9
setFlagsFromString('--expose-gc')

const dir = mkdtempSync(join(tmpdir(), 'bff-steps-'))
const out: Record<string, { us: number; bytes: number }> = {}
for (const level of ['warn', 'info'] as const)
  for (const mouth of ['HTTP/1.1', 'HTTP/2'] as const) out[`${mouth}, log at ${level}`] = await measure(level, mouth)
console.log(JSON.stringify({ bench: 'steps', warm_verify: out }))
rmSync(dir, { recursive: true, force: true })

async function measure(level: 'warn' | 'info', mouth: 'HTTP/1.1' | 'HTTP/2'): Promise<{ us: number; bytes: number }> {
  writeConfig(dir, 'http://127.0.0.1:9', { store: 'sqlite::memory:' })
  const loaded = loadConfig(dir, {})
  if (!loaded.ok) throw new Error('the config of the bench does not load')
  const { check, stop } = await parts(loaded.settings, level, mouth)
  const round = (): { us: number; bytes: number } => {
    globalThis.gc?.()
    const heap = getHeapStatistics().used_heap_size
    const before = process.cpuUsage()
    for (let i = 0; i < LOOPS; i++) check()
    const { user, system } = process.cpuUsage(before)
    return { us: (user + system) / LOOPS, bytes: getHeapStatistics().used_heap_size - heap }
  }
  const rounds = Array.from({ length: ROUNDS }, round).slice(2)
  const bytes = allocated(check)
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
  mouth: 'HTTP/1.1' | 'HTTP/2',
): Promise<{ check: () => void; stop: () => Promise<void> }> {
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
  const headers = Object.entries({ ...checkHeaders('/orders/1'), cookie })
  const target = '/auth/verify?service=orders'
  const text = `GET ${target} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  const lines = [[':method', 'GET'], [':scheme', 'https'], [':path', target], ...headers].flat()
  const peer = { address: '127.0.0.1', tls: false, certified: false }
  const yes = (raw: RawRequest): Answer => {
    const answer = verify(raw, composed.verifyDeps)
    if (answer instanceof Promise || answer.status !== 200) throw new Error('not a warm yes')
    return answer
  }
  const checks = {
    'HTTP/1.1': () => {
      const request = readPlainRequest(text)
      if (request === undefined) throw new Error('not plain')
      headOfHttp1(yes(rawFromPlain(request, peer)), 120_000)
    },
    'HTTP/2': () => void yes(rawFromStream(lines, peer)),
  }
  return {
    check: checks[mouth],
    stop: async () => {
      composed.close()
      await stores.close()
    },
  }
}
