import type { RequestHandler } from 'express'
import session from 'express-session'
import type { Store } from 'express-session'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { SessionSettings } from '../../config/types.ts'
import { StoreUnavailable, type SessionId, type SessionRecord } from '../types.ts'

export interface SessionWriterOptions {
  readonly settings: SessionSettings
  readonly store: Store
  /** First signs. */
  readonly signingKeys: readonly string[]
}

/**
 * express-session, used for one thing: writing the record and the signed cookie at login, once. It never reads a session
 * (a planted cookie is hidden from it), and the hot path never meets it.
 */
export function createSessionWriter(
  o: SessionWriterOptions,
): (req: IncomingMessage, res: ServerResponse, secure: boolean, id: SessionId, record: SessionRecord) => Promise<void> {
  return async (req, res, secure, id, record) => {
    const { cookie: planted } = req.headers
    delete req.headers.cookie
    // express-session sets no cookie, silently, when it believes that a request is not secure; public_url says what is true.
    Object.defineProperty(req, 'secure', { value: secure, configurable: true })
    await run(middleware(o, secure, id), req, res)
    const writable = req as IncomingMessage & { session: session.Session & { bff?: SessionRecord } }
    writable.session.bff = record
    await new Promise<void>((resolve, reject) => {
      writable.session.save((e: unknown) => {
        if (e === undefined || e === null) resolve()
        else
          reject(
            e instanceof StoreUnavailable
              ? e
              : new StoreUnavailable('the session record could not be saved', { cause: e }),
          )
      })
    })
    if (planted !== undefined) req.headers.cookie = planted
  }
}

function middleware(o: SessionWriterOptions, secure: boolean, id: SessionId): RequestHandler {
  const { cookieName, cookieDomain, sameSite } = o.settings
  return session({
    name: cookieName,
    secret: [...o.signingKeys],
    store: o.store,
    genid: () => id,
    resave: false,
    // With it the end of the response writes nothing more: what save() wrote counts as saved. So the record is written once.
    saveUninitialized: true,
    rolling: false,
    unset: 'keep',
    // No Max-Age: the idle time is kept in the store.
    cookie: {
      httpOnly: true,
      secure,
      sameSite,
      path: '/',
      ...(cookieDomain === undefined ? {} : { domain: cookieDomain }),
    },
  })
}

function run(handler: RequestHandler, req: IncomingMessage, res: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    void handler(req as never, res as never, (e?: unknown) => {
      if (e === undefined) resolve()
      else reject(e instanceof Error ? e : new Error('express-session failed'))
    })
  })
}
