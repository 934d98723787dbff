import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload } from 'jose'
import { WebSocketServer } from 'ws'

export interface ApiOptions {
  readonly name: string
  /** The only audience that it takes. */
  readonly audience: string
  readonly issuer: string
  /** Default: a free one. */
  readonly port?: number
  /** Default: loopback. */
  readonly host?: string
}

export interface Api {
  readonly name: string
  readonly port: number
  readonly server: Server
  /** Requests seen, for tests. */
  readonly seen: readonly {
    readonly method: string
    readonly url: string
    readonly headers: IncomingMessage['headers']
  }[]
  close(): Promise<void>
}

const IDENTITY = /^(?:x-(?:user|session|auth|original|correlation|identity|department)|remote-)/

/**
 * An API of the demo: it trusts nobody and checks each token itself: signature, `iss`, `exp` and its own `aud`. It answers
 * what it received: the token's claims, never the token.
 */
export async function startApi(o: ApiOptions): Promise<Api> {
  const keys = createRemoteJWKSet(new URL(`${o.issuer}/jwks`))
  const seen: { method: string; url: string; headers: IncomingMessage['headers'] }[] = []
  const server = createServer((req, res) => {
    seen.push({ method: req.method ?? '', url: req.url ?? '', headers: req.headers })
    if (seen.length > 1000) seen.shift()
    answer(o, keys, req, res).catch(() => res.destroy())
  })
  serveWebSockets(server, o, keys)
  await new Promise<void>((resolve) => server.listen(o.port ?? 0, o.host ?? '127.0.0.1', resolve))
  return {
    name: o.name,
    port: (server.address() as AddressInfo).port,
    server,
    seen,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function answer(
  o: ApiOptions,
  keys: ReturnType<typeof createRemoteJWKSet>,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const url = new URL(req.url ?? '/', 'http://api.invalid')
  if (url.pathname === '/healthz') return send(res, 200, { status: 'ok' })
  const token = /^Bearer (\S+)$/.exec(req.headers.authorization ?? '')?.[1]
  const claims = token === undefined ? 'no token came' : await verified(token, o, keys)
  if (typeof claims === 'string') {
    res.setHeader('WWW-Authenticate', `Bearer error="invalid_token", error_description="${claims}"`)
    return send(res, 401, { service: o.name, error: 'invalid_token', why: claims })
  }
  if (url.pathname.endsWith('/events')) return events(res, o, String(claims.sub))
  let bytes = 0
  for await (const chunk of req) bytes += (chunk as Buffer).length
  const headers = Object.fromEntries(Object.entries(req.headers).filter(([name]) => IDENTITY.test(name)))
  const cookies = (req.headers.cookie ?? '')
    .split(';')
    .map((c) => c.split('=')[0]?.trim())
    .filter((c) => c !== undefined && c !== '')
  send(res, 200, {
    service: o.name,
    method: req.method,
    path: url.pathname,
    query: url.search,
    body_bytes: bytes,
    received: { headers, token_claims: claims, cookies },
  })
}

async function verified(
  token: string,
  o: ApiOptions,
  keys: ReturnType<typeof createRemoteJWKSet>,
): Promise<JWTPayload | string> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer: o.issuer,
      audience: o.audience,
      requiredClaims: ['exp'],
    })
    return payload
  } catch (e) {
    return e instanceof errors.JOSEError ? e.code : 'the keys could not be read'
  }
}

function send(res: ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  res.end(JSON.stringify(body, undefined, 2))
}

/** A live event stream: the time, each second, until somebody ends it. */
function events(res: ServerResponse, o: ApiOptions, sub: string): void {
  // Who left while the token was checked will not close again.
  if (res.closed || res.destroyed) return
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  res.flushHeaders()
  let n = 0
  const tick = (): void =>
    void res.write(`data: ${JSON.stringify({ service: o.name, sub, n: ++n, at: new Date().toISOString() })}\n\n`)
  tick()
  const timer = setInterval(tick, 1000)
  res.on('close', () => clearInterval(timer))
}

/** `…/ws` echoes what it is told, and says who it is talking to; it checks the token of the handshake as every request's. */
function serveWebSockets(server: Server, o: ApiOptions, keys: ReturnType<typeof createRemoteJWKSet>): void {
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (req, socket, head) => {
    void (async () => {
      const token = /^Bearer (\S+)$/.exec(req.headers.authorization ?? '')?.[1]
      const claims = token === undefined ? 'no token came' : await verified(token, o, keys)
      if (typeof claims === 'string' || (req.url ?? '').split('?')[0]?.endsWith('/ws') !== true) {
        socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
        return
      }
      sockets.handleUpgrade(req, socket, head, (ws) => {
        ws.send(`hello ${String(claims.sub)}, this is ${o.name}`)
        ws.on('message', (data) => ws.send(`${o.name} heard: ${(data as Buffer).toString()}`))
      })
    })()
  })
}
