import type { ServerHttp2Stream } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Answer, RawRequest } from '../types.ts'
import { NONE, indexLines, lowerCase } from './header-lines.ts'

/**
 * The HTTP/2 shell's raw request, from the names and values of a 'stream' event as they came. `:authority` is the Host
 * (RFC 9113 §8.3.1: a Host field beside it must say the same, and one that does not stays a second value); cookies may come
 * as several fields (§8.2.3), which stay several lines.
 */
export function rawFromStream(lines: readonly string[], socket: TLSSocket): RawRequest {
  const index = indexLines(lines)
  const pseudo = (name: string): string | undefined => {
    const value = index.get(name)?.[0]
    index.delete(name)
    return value
  }
  const [method, target, authority] = [pseudo(':method'), pseudo(':path'), pseudo(':authority')]
  pseudo(':scheme')
  pseudo(':protocol')
  if (authority !== undefined)
    index.set('host', [authority, ...(index.get('host') ?? NONE).filter((h) => h !== authority)])
  return {
    method: method ?? 'GET',
    target: target ?? '/',
    all: (name) => index.get(name) ?? NONE,
    names: () => index.keys(),
    peer: {
      address: socket.remoteAddress ?? '',
      tls: true,
      // Only true where a client CA is set and the certificate is one of its own.
      certified: socket.authorized,
    },
  }
}

/** Names and values of a request together, which is what a header limit counts. */
export function headerBytes(lines: readonly string[]): number {
  let size = 0
  for (const text of lines) size += text.length
  return size
}

/** Fields that speak of one connection, and make an answer malformed here (RFC 9113 §8.2.2). */
const OF_A_CONNECTION = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

/** Writes an answer; to a stream that its client has given up, nothing. */
export function writeStream(stream: ServerHttp2Stream, a: Answer, head: boolean): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return
  const lines = [':status', String(a.status)]
  for (const [as, value] of a.headers) {
    const name = lowerCase(as)
    if (!OF_A_CONNECTION.has(name)) lines.push(name, value)
  }
  const body = head ? undefined : a.body
  const endStream = body === undefined || body === ''
  stream.respond(lines, { endStream })
  if (!endStream) stream.end(body)
}
