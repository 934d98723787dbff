import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Answer, Maybe, RawRequest } from '../types.ts'
import { NONE, indexLines } from './header-lines.ts'

/** The HTTP/1.1 shell's raw request: reads `rawHeaders`, so that repeated lines stay apart. */
export function rawFromHttp1(req: IncomingMessage): RawRequest {
  const lines = req.rawHeaders
  const socket = req.socket as Partial<TLSSocket> & IncomingMessage['socket']
  let index: Map<string, string[]> | undefined
  const byName = (): Map<string, string[]> => (index ??= indexLines(lines))
  return {
    method: req.method ?? 'GET',
    target: req.url ?? '/',
    all: (name) => byName().get(name) ?? NONE,
    names: () => byName().keys(),
    peer: {
      address: req.socket.remoteAddress ?? '',
      tls: socket.encrypted === true,
      certified: socket.encrypted === true && socket.authorized === true,
    },
  }
}

/** Writes an answer as it is. Several values of one name (`Set-Cookie`) stay several lines. */
export function writeHttp1(res: ServerResponse, a: Answer, head: boolean): void {
  const flat: string[] = []
  for (const [name, value] of a.headers) flat.push(name, value)
  res.writeHead(a.status, flat)
  res.end(head ? undefined : a.body)
}

/** Answers a request as soon as the answer is known; HEAD without its body. */
export function answerHttp1(req: IncomingMessage, res: ServerResponse, answer: Maybe<Answer>): void {
  const head = req.method === 'HEAD'
  if (answer instanceof Promise) void answer.then((a) => writeHttp1(res, a, head))
  else writeHttp1(res, answer, head)
}
