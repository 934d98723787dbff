import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTcp, type AddressInfo, type Socket } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'

export interface Upstream {
  readonly url: string
  readonly server: Server
  readonly seen: IncomingMessage[]
  readonly sockets: Set<WebSocket>
  /** What the next requests get; the default says what came. */
  answer: (req: IncomingMessage, res: ServerResponse) => void
  close(): Promise<void>
}

/** Says what came. */
export function echo(req: IncomingMessage, res: ServerResponse): void {
  res.setHeader('content-type', 'application/json')
  res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers }))
}

/** Says what came when all of it has, trailers too. */
export function echoAtEnd(req: IncomingMessage, res: ServerResponse): void {
  req.resume()
  req.once('end', () => echo(req, res))
}

/** A real upstream whose answers a test writes; `/ws` echoes. */
export async function startUpstream(): Promise<Upstream> {
  const seen: IncomingMessage[] = []
  const sockets = new Set<WebSocket>()
  const wss = new WebSocketServer({ noServer: true })
  const upstream = { answer: echo }
  const server = createServer((req, res) => {
    seen.push(req)
    upstream.answer(req, res)
  })
  server.on('upgrade', (req, socket, head) => {
    seen.push(req)
    wss.handleUpgrade(req, socket, head, (ws) => {
      sockets.add(ws)
      ws.on('close', () => sockets.delete(ws))
      ws.on('message', (data, binary) => {
        if (!binary && (data as Buffer).toString() === 'close') ws.close(4007, 'asked to')
        else ws.send(data, { binary })
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(upstream, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    seen,
    sockets,
    close: async () => {
      for (const ws of sockets) ws.terminate()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

/** An upstream that says exactly these bytes, whatever it is asked. */
export async function startRawUpstream(
  say: (socket: Socket) => void,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server = createTcp((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => say(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      for (const s of sockets) s.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
