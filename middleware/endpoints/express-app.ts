import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import helmet from 'helmet'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { bugIn } from '../bug.ts'
import { backChannelLogout } from '../login/back-channel.ts'
import { frontChannelLogout } from '../login/front-channel.ts'
import { loggedOut } from '../login/logout-state.ts'
import { finishLogin } from '../login/callback.ts'
import type { LoginDeps, SaveRecord } from '../login/deps.ts'
import { confirmLogout, logout } from '../login/logout.ts'
import { grantLogin } from '../login/native-grant.ts'
import { startLogin } from '../login/start.ts'
import { logAccess } from '../mouths/answer.ts'
import { correlationId } from '../mouths/request-headers.ts'
import { rawFromHttp1 } from '../mouths/http1.ts'
import {
  StoreUnavailable,
  type Answer,
  type BrowserRequest,
  type CanonicalPath,
  type SessionId,
  type SessionRecord,
} from '../types.ts'
import { readBrowserRequest } from './browser-request.ts'
import { health } from './health.ts'
import { csrfToken, sessionStatus } from './session.ts'
import { endSession, listSessions } from './sessions.ts'

export type WriteSession = (
  req: IncomingMessage,
  res: ServerResponse,
  id: SessionId,
  record: SessionRecord,
) => Promise<void>

type Endpoint = (r: BrowserRequest, deps: LoginDeps, save: SaveRecord) => Promise<Answer> | Answer

/**
 * The browser endpoints, as an Express app. `/auth/verify` and proxied routes never come here. Express only carries: each
 * endpoint is a function from a BrowserRequest to an Answer.
 */
export function createExpressApp(deps: LoginDeps, writeSession: WriteSession, jwks?: Answer): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  // The CSP is each page's own (its style is hashed); HSTS and upgrade-insecure-requests are the gateway's to decide.
  app.use(
    helmet({
      contentSecurityPolicy: false,
      strictTransportSecurity: false,
      referrerPolicy: { policy: 'same-origin' },
      xFrameOptions: { action: 'deny' },
    }),
  )
  app.use(bodyInTime(deps))
  const base = deps.now.settings.server.basePath
  const on = (endpoint: Endpoint) => (req: Request, res: Response) => serve(endpoint, req, res, deps, writeSession)
  const limit = '16kb'
  const body = [express.urlencoded({ extended: false, limit }), express.json({ limit })]
  app.get(`${base}/health`, (_req, res) => send(res, health()))
  // Upstreams ask for it by whatever address they reach us; the keys are public, so no Host is wrong.
  if (jwks !== undefined) app.get(`${base}/jwks`, (_req, res) => send(res, jwks))
  app.get(`${base}/login`, on(startLogin))
  app.get([`${base}/callback`, `${base}/callback/:provider`], on(finishLogin))
  app.get(`${base}/logout`, on(confirmLogout))
  app.post(`${base}/logout`, body, on(logout))
  app.get(`${base}/logged-out`, on(loggedOut))
  app.post(`${base}/login/grant/:name`, body, on(grantLogin))
  app.post(`${base}/backchannel-logout`, body, on(backChannelLogout))
  if (deps.now.settings.frontchannelLogout === true)
    app.get(
      `${base}/frontchannel-logout`,
      (_req, res, next) => {
        // The one page that is meant for a frame: its CSP says whose.
        res.removeHeader('X-Frame-Options')
        next()
      },
      on(frontChannelLogout),
    )
  app.get(`${base}/sessions`, on(listSessions))
  app.delete(`${base}/sessions/:id`, on(endSession))
  app.post(`${base}/sessions/:id`, body, on(endSession))
  app.get(`${base}/csrf`, on(csrfToken))
  app.get('/api/auth/session', on(sessionStatus))
  app.use(on((r, d) => d.errorAnswer({ code: 'NO_ROUTE', status: 404 }, r)))
  app.use((e: unknown, req: Request, res: Response, _next: NextFunction) => fail(e, req, res, deps))
  return app
}

async function serve(
  endpoint: Endpoint,
  req: Request,
  res: Response,
  deps: LoginDeps,
  writeSession: WriteSession,
): Promise<void> {
  const r = readBrowserRequest(req, deps.now, deps.random)
  if (typeof r === 'string') {
    const id = correlationId(rawFromHttp1(req), deps.random)
    deps.emit({
      name: 'request_refused',
      correlationId: id,
      fields: { code: 'BAD_REQUEST', why: r },
    })
    send(
      res,
      deps.errorAnswer(
        r.startsWith('host')
          ? { code: 'BAD_REQUEST', detail: 'This host is not one of ours.' }
          : { code: 'BAD_REQUEST' },
        { wants: 'fetch', acceptLanguage: '', correlationId: id },
      ),
    )
    return
  }
  const save: SaveRecord = (id, record) => writeSession(req, res, id, record)
  const answer = await endpoint(r, deps, save)
  const code = answer.headers.find(([name]) => name === 'X-BFF-Error')?.[1]
  logAccess({ ...r, path: r.path as CanonicalPath, mouth: 'endpoint' }, answer.status, code, deps)
  send(res, answer)
}

/** Errors become an outage or a bug, never a stack trace; what Express's own parsers refuse is a bad request. */
function fail(e: unknown, req: Request, res: Response, deps: LoginDeps): void {
  const r = readBrowserRequest(req, deps.now, deps.random)
  const unread = { wants: 'fetch' as const, acceptLanguage: '' }
  const asker = typeof r === 'string' ? { ...unread, correlationId: correlationId(rawFromHttp1(req), deps.random) } : r
  if (res.headersSent) {
    res.destroy()
    return
  }
  if (e instanceof StoreUnavailable) {
    send(res, deps.errorAnswer({ code: 'STORE_UNAVAILABLE', retryAfterS: 2 }, asker))
    return
  }
  const status = (e as { status?: unknown } | null)?.status
  if (typeof status === 'number' && status >= 400 && status < 500) {
    send(res, deps.errorAnswer({ code: 'BAD_REQUEST', status }, asker))
    return
  }
  deps.emit({ ...bugIn('endpoint', e), correlationId: asker.correlationId })
  send(res, deps.errorAnswer({ code: 'INTERNAL_ERROR' }, asker))
}

/** Bodies of ours are a form's few fields: one that does not come would hold its connection for ever. */
const BODY_TIMEOUT_MS = 10_000

function bodyInTime(deps: LoginDeps) {
  return (req: Request, res: Response, next: NextFunction): void => {
    if (req.headers['content-length'] !== undefined || req.headers['transfer-encoding'] !== undefined) {
      const timer = setTimeout(() => {
        if (req.complete || res.headersSent) return
        res.setHeader('Connection', 'close')
        fail(Object.assign(new Error('no body in time'), { status: 408 }), req, res, deps)
      }, BODY_TIMEOUT_MS)
      res.once('close', () => clearTimeout(timer))
    }
    next()
  }
}

/** Header by header: express-session adds its own Set-Cookie to what is set. */
function send(res: ServerResponse, a: Answer): void {
  res.statusCode = a.status
  for (const [name, value] of a.headers) {
    if (name.toLowerCase() === 'set-cookie') res.appendHeader(name, value)
    else res.setHeader(name, value)
  }
  res.end(res.req.method === 'HEAD' ? undefined : a.body)
}
