import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import type * as Undici from 'undici'

/** Connections to upstreams: kept alive, capped per upstream; what is over waits its turn. */
export interface Connections {
  /** Calls `use` with a connection to this origin: at once where one may be had, else when one is free. Returns how to wait no longer. */
  take(base: URL, use: (connection: Connection) => void): () => void
  /** Loads the HTTP client now rather than with the first request. */
  load(): void
  close(): void
}

/** One connection's worth of an upstream. It dials when it is first used, and again when it was closed meanwhile. */
export interface Connection {
  send(request: Undici.Dispatcher.DispatchOptions, handler: Undici.Dispatcher.DispatchHandler): void
  /** The answer is whole: the next request may have it. */
  free(): void
  /** Cut, whatever it is doing, and never used again. */
  cut(): void
}

/** Idle ones beyond this are closed. */
const MOST_FREE = 64
/** An idle connection whose upstream does not say how long it keeps its end. */
const IDLE_MS = 60_000

const require = createRequire(import.meta.url)
let undici: typeof Undici | undefined
/** A tenth of a second and 25 MB, which a service without proxied routes does without. */
function client(): typeof Undici {
  return (undici ??= require('undici') as typeof Undici)
}

/** @param most connections to one upstream. */
export function createConnections(most: number): Connections {
  const origins = new Map<string, Origin>()
  /** By the config's own URLs: to write an origin anew for each request would be dear. */
  const byUrl = new WeakMap<URL, Origin>()
  const originOf = (base: URL): Origin => {
    let origin = byUrl.get(base)
    if (origin === undefined) {
      origin = origins.get(base.origin) ?? createOrigin(base.origin, most)
      origins.set(base.origin, origin)
      byUrl.set(base, origin)
    }
    return origin
  }
  return {
    take: (base, use) => originOf(base).take(use),
    load: () => void client(),
    close: () => {
      for (const origin of origins.values()) origin.close()
    },
  }
}

interface Origin {
  take(use: (connection: Connection) => void): () => void
  close(): void
}

const NOT_WAITING = (): void => undefined

function createOrigin(origin: string, most: number): Origin {
  const { Client, buildConnector } = client()
  // The timeouts are the route's; HTTP/2 would be another protocol with other rules.
  const dial = buildConnector({ allowH2: false, timeout: 0 }) as Dial
  const all = new Set<Connection>()
  /** The last one used is the first to be used again: the others may grow old and close. */
  const free: Connection[] = []
  const waiting = new Set<(connection: Connection) => void>()
  let closed = false

  /** Whoever has waited longest. */
  const next = (): ((connection: Connection) => void) | undefined => {
    for (const use of waiting) {
      waiting.delete(use)
      return use
    }
    return undefined
  }
  const open = (): Connection => {
    let socket: Socket | undefined
    const http = new Client(origin, {
      connect: (options, callback) => {
        socket = dial(options, callback)
      },
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_MS,
      // As much earlier than the upstream says as node:http's own agent.
      keepAliveTimeoutThreshold: 1000,
    })
    const connection: Connection = {
      send: (request, handler) => void http.dispatch(request, handler),
      free: () => {
        // undici reads what an upstream said unasked before it uses an idle connection again, and only before that: within the
        // answer's end it would not be idle yet.
        if (waiting.size > 0) setImmediate(offer)
        else offer()
      },
      cut: () => {
        if (!all.delete(connection)) return
        // One that is still being dialled is the dialler's: the client would wait for it.
        socket?.destroy()
        http.destroy(null, () => undefined)
        const use = closed ? undefined : next()
        if (use !== undefined) use(open())
      },
    }
    const offer = (): void => {
      if (!all.has(connection)) return
      const use = next()
      if (use !== undefined) use(connection)
      else if (free.length < MOST_FREE && !closed) free.push(connection)
      else connection.cut()
    }
    all.add(connection)
    return connection
  }
  return {
    take: (use) => {
      const connection = free.pop() ?? (all.size < most ? open() : undefined)
      if (connection === undefined) {
        waiting.add(use)
        return () => waiting.delete(use)
      }
      use(connection)
      return NOT_WAITING
    },
    close: () => {
      closed = true
      waiting.clear()
      for (const connection of all) connection.cut()
    },
  }
}

/** undici's own connector, which returns its socket though its types do not say so. */
type Dial = (options: Undici.buildConnector.Options, callback: Undici.buildConnector.Callback) => Socket
