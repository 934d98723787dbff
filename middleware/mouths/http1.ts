import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { STATUS_CODES } from '../node-http.ts'
import type { Answer, Maybe, RawRequest } from '../types.ts'
import { NONE, indexLines, isWritable } from './header-lines.ts'

/** The HTTP/1.1 shell's raw request: reads `rawHeaders`, so that repeated lines stay apart. */
export function rawFromHttp1(req: IncomingMessage): RawRequest {
  const socket = req.socket as Partial<TLSSocket> & IncomingMessage['socket']
  let index: Map<string, string[]> | undefined
  const byName = (): Map<string, string[]> => (index ??= indexLines(req.rawHeaders))
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

/**
 * The head of an answer as node:http writes it, byte for byte, as Latin-1 text. Throws where Node would: a name or a value that
 * could begin another line.
 *
 * @param keepAliveMs how long the connection is kept for a next request; undefined: it is its last.
 */
export function headOfHttp1(a: Answer, keepAliveMs: number | undefined): string {
  let head = `HTTP/1.1 ${a.status} ${STATUS_CODES[a.status] ?? 'unknown'}\r\n`
  for (const header of a.headers) {
    const [name, value] = header
    if (!isWritable(header)) throw new TypeError(`not a header that may be written: ${name}`)
    head += `${name}: ${value}\r\n`
  }
  head += `Date: ${httpDate()}\r\n`
  return keepAliveMs === undefined
    ? `${head}Connection: close\r\n\r\n`
    : `${head}Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n\r\n`
}

let second = 0
let date = ''

/** RFC 9110 §6.6.1; the text of a second is made once. */
function httpDate(): string {
  const now = Math.floor(Date.now() / 1000)
  if (now !== second) {
    second = now
    date = new Date(now * 1000).toUTCString()
  }
  return date
}
