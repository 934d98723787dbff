import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

/**
 * A request's body, as a stream that undici may destroy: to destroy the request itself is to cut the client before it is told
 * why. What nobody takes any more is read away, so that the client hears an answer that came early.
 */
export function bodyOf(req: IncomingMessage): Readable {
  const onData = (chunk: Buffer): void => {
    if (!body.push(chunk)) req.pause()
  }
  const onEnd = (): void => void body.push(null)
  let begun = false
  const body = new Readable({
    read: () => {
      if (!begun) {
        begun = true
        req.on('data', onData).once('end', onEnd)
      }
      req.resume()
    },
    destroy: (e, done) => {
      req.off('data', onData).off('end', onEnd)
      req.resume()
      done(e)
    },
  })
  // Whoever destroys it knows why.
  body.on('error', () => undefined)
  return body
}
