import type { Server } from 'node:net'
import type { ListenAddress, Secret, ServerSettings } from '../config/types.ts'
import type { Composed, LongLived } from '../compose.ts'
import type { LateProxy } from '../proxy/late.ts'
import { serveAdmin } from './admin.ts'
import { createDeployment, type Holder } from './deployment.ts'
import { createHttpDoor, type Door } from './door.ts'
import { listen } from './listen.ts'
import { checkMain, isWebSocket, serveMain, upgradeMain } from './main.ts'
import { createTraffic, type Traffic } from './traffic.ts'
import type { VerifyDoor } from './verify-door.ts'

/** How long requests in hand may take to finish at a stop. */
const DRAIN_MS = 25_000

export interface Listeners {
  /** `name=host:port` of each, as bound. */
  readonly addresses: readonly string[]
  /** Other certificate files. */
  reload(next: ServerSettings): void
  /**
   * Answers go on, and tell clients to move; resolves when the listeners that carry traffic are shut.
   *
   * @param atMostMs how long new connections are still taken while balancers notice that this process is not ready.
   */
  leave(atMostMs: number, hurry: AbortSignal): Promise<void>
  /** What is in hand is finished, for 25 s or until `hurry`. */
  finish(hurry: AbortSignal): Promise<void>
  /** The admin listener, last of all: it said "not ready" until now. */
  closeAdmin(): Promise<void>
}

export interface ListenersDeps {
  readonly server: ServerSettings
  /** `session.secret`: who has it is of this deployment. */
  readonly secrets: readonly Secret[]
  readonly current: () => Composed
  readonly long: LongLived
  readonly proxy: LateProxy
  readonly isDraining: () => boolean
}

/** Opens every listener, or none. Rejects where a port is taken by something that is not of this deployment. */
export async function openListeners(deps: ListenersDeps): Promise<Listeners> {
  const { clock, telemetry } = deps.long
  const { server } = deps
  const traffic = createTraffic(clock)
  const deployment = createDeployment(deps.secrets, deps.long.random)
  let siblingOnAdmin = false
  const main = createHttpDoor(
    { shouldUpgradeCallback: isWebSocket },
    (req, res) => serveMain(req, res, deps.current(), deps.proxy, deployment),
    { clock, traffic, fastPath: (request, peer) => checkMain(request, peer, deps.current()) },
  )
  main.http.on('upgrade', (req, socket, head) => upgradeMain(req, socket, head, deps.current(), deps.proxy))
  const adminDeps = { long: deps.long, isDraining: deps.isDraining, deployment, traffic }
  const admin = createHttpDoor(
    {},
    (req, res) => void serveAdmin(req, res, deps.current(), { ...adminDeps, onSibling: () => (siblingOnAdmin = true) }),
    { clock, traffic: undefined },
  )
  const verify = await openVerifyDoor(deps, traffic)
  const addresses: string[] = []
  const open = async (
    name: string,
    door: { readonly server: Server },
    at: ListenAddress,
    holder: () => Promise<Holder>,
  ): Promise<void> => {
    const { address, beside } = await listen(door.server, at, holder, clock)
    addresses.push(`${name}=${address}`)
    if (beside) telemetry.emit({ name: 'listening_beside', fields: { listener: name, address } })
  }
  try {
    await open('main', main, server.listen, () => deployment.ask(server.listen, `${server.basePath}/health`))
    const over = server.verifyListen
    if (over !== undefined && verify !== undefined) await open('verify', verify, over, () => verify.ask(over))
    const at = server.adminListen
    if (at !== undefined) await open('admin', admin, at, () => deployment.ask(at, '/health'))
  } catch (e) {
    for (const door of [main, admin, verify]) if (door?.server.listening === true) door.server.close()
    verify?.close()
    throw e
  }
  const doors: readonly Door[] = verify === undefined ? [main] : [main, verify]
  return {
    addresses,
    reload: (next) => {
      if (next.verifyTls !== undefined) verify?.reload(next.verifyTls)
    },
    leave: async (atMostMs, hurry) => {
      for (const door of doors) door.lastCall()
      admin.lastCall()
      // Whoever asks a shared port whether it is ready means the deployment: the successor alone says so from now on.
      if (siblingOnAdmin) await admin.shut()
      await traffic.gone(atMostMs, hurry)
      await Promise.all(doors.map((door) => door.shut()))
    },
    finish: async (hurry) => {
      const cut = AbortSignal.any([hurry, AbortSignal.timeout(DRAIN_MS)])
      await Promise.all(doors.map((door) => door.finish(cut)))
    },
    closeAdmin: async () => {
      await admin.shut()
      await admin.finish(AbortSignal.timeout(1000))
    },
  }
}

async function openVerifyDoor(deps: ListenersDeps, traffic: Traffic): Promise<VerifyDoor | undefined> {
  const { verifyListen, verifyTls: tls, verifySessionAgeMs: sessionAgeMs } = deps.server
  if (verifyListen === undefined || tls === undefined) return undefined
  // HTTP/2 and TLS, which are not loaded for those who do not use them.
  const { createVerifyDoor } = await import('./verify-door.ts')
  const { clock, random, telemetry } = deps.long
  const jitter = (): number => (random(1)[0] ?? 0) / 255
  return createVerifyDoor({ tls, sessionAgeMs, current: deps.current, clock, traffic, emit: telemetry.emit, jitter })
}
