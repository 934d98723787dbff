import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { createProxyServer } from 'http-proxy'
import { bugIn } from '../middleware/bug.ts'
import { createConnections } from './connections.ts'
import { forward, type ForwardContext } from './forward.ts'
import { createStalls } from './stalls.ts'
import { createStreams } from './streams.ts'
import { DEFAULT_LIMITS, type ProxyDeps, type ProxyStats, type ProxyVerdict } from './types.ts'
import { forwardUpgrade, type Handshake } from './upgrade.ts'
import { writeAnswer, writeAnswerRaw } from './write-answer.ts'

export interface Proxy {
  handleRequest(req: IncomingMessage, res: ServerResponse): void
  handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Loads what the first request to an upstream needs, ahead of it. */
  load(): void
  /** Ends what never ends by itself; requests in hand go on. */
  drain(): void
  close(): void
  stats(): ProxyStats
}

/**
 * The token-injection proxy: asks the decision, forwards, and asks it again after an upstream's 401. It never asks the broker
 * and never builds identity headers itself. Bytes are streamed both ways, with back-pressure.
 */
export function createProxy(deps: ProxyDeps): Proxy {
  const limits = { ...DEFAULT_LIMITS, ...deps.limits }
  const server = createProxyServer({})
  const handshakes = new WeakMap<IncomingMessage, Handshake>()
  const streams = createStreams(deps.onEnded, deps.clock, deps.onGap)
  const stalls = createStalls(limits, deps.clock)
  const connections = createConnections(limits.maxSocketsPerUpstream)
  const cx: ForwardContext = { deps, server, handshakes, connections, streams }
  const count = { requests: 0, webSockets: 0 }
  // httpxy tells of all handshakes on one emitter; each finds its own. Its errors are taken where ws() rejects, as it does only
  // without a listener for them.
  server.on('proxyReqWs', (proxyReq: ClientRequest, req: IncomingMessage) => handshakes.get(req)?.onRequest(proxyReq))
  return {
    handleRequest: (req, res) => {
      count.requests += 1
      const moved = stalls.add(req, res)
      res.once('close', () => {
        count.requests -= 1
        moved()
      })
      settle(
        deps,
        req,
        (verdict) => {
          if (verdict.kind === 'answer') writeAnswer(req, res, verdict.answer)
          else forward(req, res, verdict, cx)
        },
        () => writeAnswer(req, res, deps.errorAnswer('INTERNAL_ERROR', 500, req)),
      )
    },
    handleUpgrade: (req, socket, head) => {
      socket.on('error', () => socket.destroy())
      settle(
        deps,
        req,
        (verdict) => {
          if (verdict.kind === 'answer') writeAnswerRaw(socket, verdict.answer)
          else if (!socket.destroyed)
            forwardUpgrade(req, socket, head, verdict, cx, (delta) => (count.webSockets += delta))
        },
        () => writeAnswerRaw(socket, deps.errorAnswer('INTERNAL_ERROR', 500, req)),
      )
    },
    load: () => connections.load(),
    drain: () => streams.endAll('drain'),
    close: () => {
      streams.close()
      stalls.close()
      connections.close()
    },
    stats: () => ({ ...count, eventStreams: streams.size() - count.webSockets, stalled: stalls.stalled() }),
  }
}

/** A warm verdict is acted on at once, without a promise in between. */
function settle(deps: ProxyDeps, req: IncomingMessage, act: (v: ProxyVerdict) => void, failed: () => void): void {
  const bug = (e: unknown): void => {
    deps.emit(bugIn('proxy', e))
    failed()
  }
  try {
    const verdict = deps.decide(req)
    if (verdict instanceof Promise) verdict.then(act).catch(bug)
    else act(verdict)
  } catch (e) {
    bug(e)
  }
}
