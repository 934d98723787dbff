import { connect } from 'node:net'

/** Sends these bytes to loopback as they are, and answers all that came until the other side closed. */
export function sendBytes(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'))
    socket.on('data', (c: Buffer) => chunks.push(c))
    socket.on('error', (e: NodeJS.ErrnoException) => {
      // Cut while we still wrote: what was answered before counts.
      if (e.code !== 'ECONNRESET' && e.code !== 'EPIPE') reject(e)
    })
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')))
  })
}
