import type { ListenAddress, Secret, ServerSettings } from '../config/types.ts'
import type { Composed, LongLived } from '../compose.ts'
import type { Proxy } from '../proxy/proxy.ts'
import { serveAdmin } from './admin.ts'
import { createDeployment, type Holder } from './deployment.ts'
import { createHttpDoor, type Door, type HttpDoor } from './door.ts'
import { listen } from './listen.ts'
import { isWebSocket, serveMain, upgradeMain } from './main.ts'
import { createTraffic } from './traffic.ts'

/** How long requests in hand may take to finish at a stop. */
const DRAIN_MS = 25_000

export interface Listeners {
  /** `name=host:port` of each, as bound. */
  readonly addresses: readonly string[]
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
  readonly proxy: Proxy
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
    { clock, traffic },
  )
  main.server.on('upgrade', (req, socket, head) => upgradeMain(req, socket, head, deps.current(), deps.proxy))
  const adminDeps = { long: deps.long, isDraining: deps.isDraining, deployment, traffic }
  const admin = createHttpDoor(
    {},
    (req, res) => void serveAdmin(req, res, deps.current(), { ...adminDeps, onSibling: () => (siblingOnAdmin = true) }),
    { clock, traffic: undefined },
  )
  const addresses: string[] = []
  const open = async (
    name: string,
    door: HttpDoor,
    at: ListenAddress,
    holder: () => Promise<Holder>,
  ): Promise<void> => {
    const { address, beside } = await listen(door.server, at, holder, clock)
    addresses.push(`${name}=${address}`)
    if (beside) telemetry.emit({ name: 'listening_beside', fields: { listener: name, address } })
  }
  try {
    await open('main', main, server.listen, () => deployment.ask(server.listen, `${server.basePath}/health`))
    const at = server.adminListen
    if (at !== undefined) await open('admin', admin, at, () => deployment.ask(at, '/health'))
  } catch (e) {
    for (const door of [main, admin]) if (door.server.listening) door.server.close()
    throw e
  }
  const doors: readonly Door[] = [main]
  return {
    addresses,
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
