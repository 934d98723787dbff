import type { ServerHttp2Stream } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Answer, RawRequest } from '../types.ts'

const NONE: readonly string[] = []

/**
 * The HTTP/2 shell's raw request, from the names and values of a 'stream' event as they came. `:authority` is the Host
 * (RFC 9113 §8.3.1: a Host field beside it must say the same, and one that does not stays a second value); cookies may come
 * as several fields (§8.2.3), which stay several lines.
 */
export function rawFromStream(lines: readonly string[], socket: TLSSocket): RawRequest {
  const pseudo = (name: string): string | undefined => {
    for (let i = 0; i < lines.length && lines[i]?.startsWith(':') === true; i += 2)
      if (lines[i] === name) return lines[i + 1]
    return undefined
  }
  const fields = (name: string): readonly string[] => {
    let found: string[] | undefined
    for (let i = 0; i < lines.length; i += 2) if (lines[i] === name) (found ??= []).push(lines[i + 1] ?? '')
    return found ?? NONE
  }
  return {
    method: pseudo(':method') ?? 'GET',
    target: pseudo(':path') ?? '/',
    all: (name) => {
      if (name.startsWith(':')) return NONE
      if (name !== 'host') return fields(name)
      const authority = pseudo(':authority')
      const hosts = fields('host')
      return authority === undefined ? hosts : [authority, ...hosts.filter((h) => h !== authority)]
    },
    names: () => names(lines),
    peer: {
      address: socket.remoteAddress ?? '',
      tls: true,
      // Only true where a client CA is set and the certificate is one of its own.
      certified: socket.authorized,
    },
  }
}

function* names(lines: readonly string[]): Iterable<string> {
  for (let i = 0; i < lines.length; i += 2) {
    const name = lines[i] ?? ''
    if (!name.startsWith(':')) yield name
    else if (name === ':authority') yield 'host'
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
  const headers: Record<string, string | string[]> = {}
  for (const [as, value] of a.headers) {
    const name = as.toLowerCase()
    if (OF_A_CONNECTION.has(name)) continue
    const before = headers[name]
    headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
  }
  const body = head ? undefined : a.body
  const endStream = body === undefined || body === ''
  stream.respond({ ...headers, ':status': a.status }, { endStream })
  if (!endStream) stream.end(body)
}
