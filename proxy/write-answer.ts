import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { STATUS_CODES } from '../middleware/node-http.ts'
import type { Answer } from '../middleware/types.ts'
import { hasBody } from './check-request.ts'

/** Writes an answer of ours. A request whose body nobody read closes the connection: what is left of it is no next request. */
export function writeAnswer(req: IncomingMessage, res: ServerResponse, a: Answer): void {
  const flat: string[] = []
  for (const [name, value] of a.headers) flat.push(name, value)
  if (hasBody(req) && !req.complete) flat.push('Connection', 'close')
  res.writeHead(a.status, flat)
  res.end(req.method === 'HEAD' ? undefined : a.body)
}

/** The same on the bare socket of an upgrade. */
export function writeAnswerRaw(socket: Duplex, a: Answer): void {
  if (socket.destroyed || !socket.writable) return
  const lines = [
    `HTTP/1.1 ${a.status} ${STATUS_CODES[a.status] ?? ''}`,
    ...a.headers.map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
    '',
    '',
  ]
  socket.end(Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), Buffer.from(a.body ?? '')]))
}
