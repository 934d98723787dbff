import type { IncomingMessage } from 'node:http'

/** Whether a body comes (RFC 9112 §6.3): the parser decided by these two headers, so nothing else may. */
export function hasBody(req: IncomingMessage): boolean {
  if (isChunked(req)) return true
  const length = req.headers['content-length']
  return length !== undefined && length !== '0'
}

export function isChunked(req: IncomingMessage): boolean {
  return req.headers['transfer-encoding'] !== undefined
}

/** Whether a request can be sent a second time: nothing of it was a stream, and doing it twice is doing it once (RFC 9110 §9.2.2). */
export function isReplayable(req: IncomingMessage): boolean {
  return !hasBody(req) && ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'PUT'].includes(req.method ?? '')
}
