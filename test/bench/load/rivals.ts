/**
 * What our verify is held against, each in a process of its own: `bare` answers 200 from node:http and does nothing else;
 * `textbook` is Express with express-session and connect-redis, checking a session and setting the same headers. And what our
 * proxy is held against: `httpxy` is the library alone, `forwarder` our proxy with a verdict that is always the same.
 */
import { Agent, createServer, type RequestListener } from 'node:http'
import { createSecureServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { readFileSync } from 'node:fs'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { createProxyServer } from 'http-proxy'
import { createClient } from 'redis'
import { systemClock } from '../../../middleware/clock.ts'
import { createProxy } from '../../../proxy/proxy.ts'
import type { Forward } from '../../../proxy/types.ts'
import { letThrough } from '../../support/verdict.ts'

declare module 'express-session' {
  interface SessionData {
    user?: { sub: string; email: string; name: string; groups: string[]; token: string }
  }
}

const [kind, ...rest] = process.argv.slice(2)
process.on('disconnect', () => process.exit(0))

switch (kind) {
  case 'bare':
    listen((_req, res) => res.writeHead(200, { 'Content-Length': '0' }).end())
    break
  case 'bare-http2':
    listenHttp2(String(rest[0]), String(rest[1]), JSON.parse(rest[2] ?? '[]') as string[])
    break
  case 'upstream':
    listen((_req, res) => res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': '2' }).end('ok'))
    break
  case 'httpxy':
    listen(httpxy(String(rest[0])))
    break
  case 'forwarder':
    listen(forwarder(String(rest[0]), String(rest[1])))
    break
  case 'textbook':
    listen(await textbook(String(rest[0])))
    break
  default:
    throw new Error(`no rival "${kind}"`)
}

function listen(answer: RequestListener): void {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
}

/** @param headers of each answer, names and values in turn. */
function listenHttp2(cert: string, key: string, headers: readonly string[]): void {
  const server = createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) })
  const answer = [':status', '200', ...headers]
  server.on('stream', (stream: ServerHttp2Stream) => stream.respond(answer, { endStream: true }))
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
}

/** With the options that our proxy gives its own. */
function httpxy(target: string): RequestListener {
  const proxy = createProxyServer({})
  const agent = new Agent({ keepAlive: true, maxSockets: 256, maxFreeSockets: 64, scheduling: 'lifo' })
  return (req, res) => void proxy.web(req, res, { target, agent }).catch(() => res.destroy())
}

function forwarder(target: string, token: string): RequestListener {
  const base = new URL(target)
  const set: Forward['set'] = [
    ['Authorization', `Bearer ${token}`],
    ['X-User-ID', 'alice'],
  ]
  const proxy = createProxy({
    decide: (req) =>
      letThrough({ base, path: req.url ?? '/', query: '', publicPath: '/*', upstreamPath: '/{path}' }, { set }),
    errorAnswer: (_code, status) => ({ status, headers: [] }),
    onEnded: () => () => undefined,
    emit: () => undefined,
    clock: systemClock,
    cookieName: 'bff_session',
  })
  return (req, res) => proxy.handleRequest(req, res)
}

async function textbook(url: string): Promise<RequestListener> {
  const client = await createClient({ url }).connect()
  const app = express()
  const store = new RedisStore({ client, prefix: 'textbook:' })
  app.use(
    session({ store, secret: 'demo-only-session-secret-0123456789abcdef', resave: false, saveUninitialized: false }),
  )
  app.get('/login', (req, res) => {
    req.session.user = {
      sub: 'alice',
      email: 'alice@example.com',
      name: 'alice Example',
      groups: [],
      token: 'x'.repeat(900),
    }
    res.sendStatus(200)
  })
  app.get('/auth/verify', (req, res) => {
    const { user } = req.session
    if (user === undefined) {
      res.sendStatus(401)
      return
    }
    res.set({
      Authorization: `Bearer ${user.token}`,
      'X-User-ID': user.sub,
      'X-User-Email': user.email,
      'X-User-Name': user.name,
      'Cache-Control': 'no-store',
    })
    res.status(200).end()
  })
  return app
}
