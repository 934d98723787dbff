import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createProxyServer } from 'http-proxy'
import { createAgents } from './agents.ts'
import { exchangeOf, forward, type ForwardContext } from './forward.ts'
import { createStalls } from './stalls.ts'
import { createStreams } from './streams.ts'
import { DEFAULT_LIMITS, type ProxyDeps, type ProxyStats, type ProxyVerdict } from './types.ts'
import { forwardUpgrade, type Handshake } from './upgrade.ts'
import { writeAnswer, writeAnswerRaw } from './write-answer.ts'

export interface Proxy {
  handleRequest(req: IncomingMessage, res: ServerResponse): void
  handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void
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
  const agents = createAgents(limits.maxSocketsPerUpstream)
  const cx: ForwardContext = { deps, server, agents, handshakes, streams }
  const count = { requests: 0, webSockets: 0 }
  listen(cx)
  return {
    handleRequest: (req, res) => {
      count.requests += 1
      res.once('close', () => {
        count.requests -= 1
      })
      stalls.add(req, res)
      settle(
        deps,
        req,
        (verdict) => {
          if (verdict.kind === 'answer') writeAnswer(req, res, verdict.answer)
          else void forward(req, res, verdict, cx)
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
    drain: () => streams.endAll('drain'),
    close: () => {
      streams.close()
      stalls.close()
      agents.close()
    },
    stats: () => ({ ...count, eventStreams: streams.size() - count.webSockets, stalled: stalls.stalled() }),
  }
}

/** A warm verdict is acted on at once, without a promise in between. */
function settle(deps: ProxyDeps, req: IncomingMessage, act: (v: ProxyVerdict) => void, failed: () => void): void {
  const bug = (e: unknown): void => {
    deps.emit({
      name: 'bug',
      fields: { where: 'proxy', error: e instanceof Error ? (e.stack ?? e.message) : 'unknown' },
    })
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

/** httpxy tells of all requests on one emitter; each finds its own exchange. */
function listen({ server, handshakes }: ForwardContext): void {
  server.on('proxyReq', (proxyReq: ClientRequest, req: IncomingMessage) => {
    const x = exchangeOf(req)
    if (x === undefined) return
    x.proxyReq = proxyReq
    // Given up while it waited for a connection.
    if (x.res.writableEnded || x.res.destroyed) proxyReq.destroy()
    // A 101 that nobody asked for: without a listener Node closes the connection, and tells nobody.
    proxyReq.once('upgrade', (_answer: IncomingMessage, socket: Socket) => {
      socket.destroy()
      x.onError(new Error('switched a protocol unasked'))
    })
    proxyReq.on('information', (info) => {
      if (info.statusCode === 103 && typeof info.headers.link === 'string') passHints(x.res, info.headers.link)
    })
  })
  server.on('proxyRes', (proxyRes: IncomingMessage, req: IncomingMessage) => exchangeOf(req)?.onResponse(proxyRes))
  server.on('proxyReqWs', (proxyReq: ClientRequest, req: IncomingMessage) => handshakes.get(req)?.onRequest(proxyReq))
  // Without a listener the promise of web() and ws() rejects, which is where errors are taken; for ours it stays so.
}

/** Early hints of the upstream. Node throws for a `Link` that it does not understand: nobody needs that one. */
function passHints(res: ServerResponse, link: string): void {
  if (res.headersSent || res.destroyed) return
  try {
    res.writeEarlyHints({ link })
  } catch {
    // Hints are only hints.
  }
}
