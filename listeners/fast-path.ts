import type { Socket } from 'node:net'
import { headOfHttp1 } from '../middleware/mouths/http1.ts'
import { mayBecomePlain, readPlainRequest, type PlainRequest } from '../middleware/mouths/plain-request.ts'
import type { Answer, Maybe, RawRequest } from '../middleware/types.ts'

/** A connection, as the door that took it keeps it. */
export interface Connection {
  /** When it was opened, in ms of the monotonic clock. */
  readonly since: number
  /** In hand now. */
  requests: number
  served: boolean
}

export interface FastPathDeps {
  /** Undefined: not answered here. */
  readonly answer: (request: PlainRequest, peer: RawRequest['peer']) => Maybe<Answer> | undefined
  /** Gives the connection to node:http, for good. */
  readonly handOver: (socket: Socket) => void
  /** Each answer is its connection's last. */
  readonly isLast: () => boolean
  /** How long a request may be on its way. */
  readonly headersTimeoutMs: number
  /** How long a client is told that its connection is kept. */
  readonly keepAliveTimeoutMs: number
  /** How long it is kept: longer, so that no request crosses its end. */
  readonly idleTimeoutMs: number
}

/**
 * Answers plain requests (see {@link readPlainRequest}) on a connection without node:http, whose request, response and events
 * cost more than a check itself. Whatever else comes, be it only once, gives the connection to node:http with every byte that
 * was not answered, and so does a client that does not wait for, or does not take, its answers.
 */
export function serveFastPath(socket: Socket, connection: Connection, deps: FastPathDeps): void {
  const peer = { address: socket.remoteAddress ?? '', certified: false, tls: false }
  /** Came, and is not answered: a part of a request, or one that came before the answer to the one before. */
  let held: Buffer | undefined
  let ended = false

  function take(chunk: Buffer): void {
    // After the last answer nobody is heard.
    if (!socket.writable) return
    if (connection.requests > 0) {
      held = chunk
      socket.pause()
      return
    }
    const before = held
    held = undefined
    const bytes = before === undefined ? chunk : Buffer.concat([before, chunk])
    if (deps.isLast() || socket.writableLength > 0) {
      leave(bytes)
      return
    }
    const text = bytes.toString('latin1')
    const request = readPlainRequest(text)
    if (request === undefined && before === undefined && mayBecomePlain(text)) {
      held = bytes
      socket.setTimeout(deps.headersTimeoutMs)
      return
    }
    const answer = request === undefined ? undefined : deps.answer(request, peer)
    if (answer === undefined) leave(bytes)
    else if (answer instanceof Promise) {
      connection.requests += 1
      void answer.then(answerLate)
    } else write(answer, before !== undefined)
  }

  function answerLate(answer: Answer): void {
    connection.requests -= 1
    write(answer, true)
    if (held === undefined || !socket.writable) return
    const next = held
    held = undefined
    socket.resume()
    take(next)
  }

  function write(answer: Answer, wasTimed: boolean): void {
    if (!socket.writable) return
    const keep = !ended && !deps.isLast()
    const text = headOfHttp1(answer, keep ? deps.keepAliveTimeoutMs : undefined)
    const { body = '' } = answer
    if (body === '') socket.write(text, 'latin1')
    else socket.write(Buffer.concat([Buffer.from(text, 'latin1'), Buffer.from(body)]))
    if (!keep) socket.end()
    else if (wasTimed || !connection.served) socket.setTimeout(deps.idleTimeoutMs)
    connection.served = true
  }

  function end(): void {
    ended = true
    if (connection.requests === 0) socket.end()
  }

  function timedOut(): void {
    // A slow decision is no idle connection. A request that is slow to come is told so by Node.
    if (connection.requests > 0) return
    if (held === undefined) socket.destroy()
    else leave(held)
  }

  function leave(bytes: Buffer): void {
    socket.off('data', take).off('end', end).off('timeout', timedOut)
    socket.setTimeout(0)
    deps.handOver(socket)
    socket.unshift(bytes)
  }

  socket.setTimeout(deps.headersTimeoutMs)
  socket.on('data', take).on('end', end).on('timeout', timedOut)
  // What is wrong with a connection is told by its end.
  socket.on('error', () => undefined)
}
