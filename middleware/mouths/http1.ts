import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Answer, RawRequest } from '../types.ts'

/** The HTTP/1.1 shell's raw request: reads `rawHeaders`, so that repeated lines stay apart. */
export function rawFromHttp1(req: IncomingMessage): RawRequest {
  const lines = req.rawHeaders
  const socket = req.socket as Partial<TLSSocket> & IncomingMessage['socket']
  return {
    method: req.method ?? 'GET',
    target: req.url ?? '/',
    all: (name) => {
      let found: string[] | undefined
      for (let i = 0; i < lines.length; i += 2) {
        const key = lines[i]
        if (key?.length === name.length && key.toLowerCase() === name) (found ??= []).push(lines[i + 1] ?? '')
      }
      return found ?? NONE
    },
    names: () => names(lines),
    peer: {
      address: req.socket.remoteAddress ?? '',
      tls: socket.encrypted === true,
      certified: socket.encrypted === true && socket.authorized === true,
    },
  }
}

const NONE: readonly string[] = []

function* names(lines: readonly string[]): Iterable<string> {
  for (let i = 0; i < lines.length; i += 2) yield (lines[i] ?? '').toLowerCase()
}

/** Writes an answer as it is. Several values of one name (`Set-Cookie`) stay several lines. */
export function writeHttp1(res: ServerResponse, a: Answer, head: boolean): void {
  const flat: string[] = []
  for (const [name, value] of a.headers) flat.push(name, value)
  res.writeHead(a.status, flat)
  res.end(head ? undefined : a.body)
}
