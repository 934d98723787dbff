import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Composed } from '../compose.ts'
import { health } from '../middleware/endpoints/health.ts'
import { answerHttp1, rawFromHttp1, writeHttp1 } from '../middleware/mouths/http1.ts'
import { rawFromPlain, type PlainRequest } from '../middleware/mouths/plain-request.ts'
import type { Answer, Maybe, RawRequest } from '../middleware/types.ts'
import type { LateProxy } from '../proxy/late.ts'
import { writeAnswerRaw } from '../proxy/write-answer.ts'
import { DEPLOYMENT_HEADER, type Deployment } from './deployment.ts'
import { pathOf, verifyAnswer } from './verify.ts'

/** The main listener: checks over HTTP/1.1, the browser's endpoints, proxied routes, and nothing else. */
export function serveMain(
  req: IncomingMessage,
  res: ServerResponse,
  now: Composed,
  proxy: LateProxy,
  deployment: Deployment,
): void {
  const path = pathOf(req.url ?? '/')
  if (now.verifyPaths.has(path)) {
    answerHttp1(req, res, verifyAnswer(rawFromHttp1(req), now))
    return
  }
  if (isEndpoint(path, now)) {
    const sibling =
      path === `${now.generation.settings.server.basePath}/health` ? siblingAnswer(req, deployment) : undefined
    if (sibling === undefined) now.endpoints.handle(req, res)
    else writeHttp1(res, sibling, false)
    return
  }
  proxy.handleRequest(req, res)
}

/** A check, without the detour of node:http; undefined for all else. */
export function checkMain(request: PlainRequest, peer: RawRequest['peer'], now: Composed): Maybe<Answer> | undefined {
  return now.verifyPaths.has(pathOf(request.target)) ? verifyAnswer(rawFromPlain(request, peer), now) : undefined
}

function isEndpoint(path: string, now: Composed): boolean {
  return path === '/api/auth/session' || path.startsWith(`${now.generation.settings.server.basePath}/`)
}

/** Handshakes are the proxy's; what is ours is never an upstream's, and switches to nothing. */
export function upgradeMain(req: IncomingMessage, socket: Duplex, head: Buffer, now: Composed, proxy: LateProxy): void {
  if (isEndpoint(pathOf(req.url ?? '/'), now)) refuseUpgrade(socket, now)
  else proxy.handleUpgrade(req, socket, head)
}

function refuseUpgrade(socket: Duplex, now: Composed): void {
  socket.on('error', () => socket.destroy())
  const asker = { wants: 'upgrade', acceptLanguage: '', correlationId: '' } as const
  writeAnswerRaw(socket, now.verifyDeps.errorAnswer({ code: 'NO_ROUTE', status: 404 }, asker))
}

/** Health with the proof that a sibling asked for; undefined where nobody did. */
export function siblingAnswer(req: IncomingMessage, deployment: Deployment): Answer | undefined {
  const asked = req.headers[DEPLOYMENT_HEADER.toLowerCase()]
  const proof = typeof asked === 'string' ? deployment.answer(asked) : undefined
  if (proof === undefined) return undefined
  const answer = health()
  return { ...answer, headers: [...answer.headers, [DEPLOYMENT_HEADER, proof]] }
}

/** Other protocols (h2c) are not switched to: such a request is one like any other (CVE-2026-88008). */
export function isWebSocket(req: IncomingMessage): boolean {
  return req.method === 'GET' && req.headers.upgrade?.toLowerCase() === 'websocket'
}
