import type { RequestHandler } from 'express'
import type { Session, Store } from 'express-session'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { SessionSettings } from '../../config/types.ts'
import { createLate } from '../late.ts'
import { StoreUnavailable, type SessionId, type SessionRecord } from '../types.ts'

export interface SessionWriterOptions {
  readonly settings: SessionSettings
  /** Where it writes to. */
  readonly store: () => Promise<Store>
  /** First signs. */
  readonly signingKeys: readonly string[]
}

/**
 * express-session, used for one thing: writing the record and the signed cookie at login, once. It never reads a session
 * (a planted cookie is hidden from it), and the hot path never meets it.
 */
export function createSessionWriter(
  o: SessionWriterOptions,
): (req: IncomingMessage, res: ServerResponse, id: SessionId, record: SessionRecord) => Promise<void> {
  // One for all: each instance listens to the store for as long as that lives. Loaded by the first who signs in.
  const late = createLate(() => middleware(o))
  return async (req, res, id, record) => {
    const { cookie: planted } = req.headers
    delete req.headers.cookie
    // express-session sets no cookie, silently, when it believes that a request is not secure. public_url is https, or on
    // loopback, where browsers take a Secure cookie over http too.
    Object.defineProperty(req, 'secure', { value: true, configurable: true })
    Object.defineProperty(req, NEW_ID, { value: id })
    await run(await late.load(), req, res)
    const writable = req as IncomingMessage & { session: Session & { bff?: SessionRecord } }
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

const NEW_ID = Symbol('new session id')

async function middleware(o: SessionWriterOptions): Promise<RequestHandler> {
  const { default: session } = await import('express-session')
  const { cookieName, cookieDomain, sameSite } = o.settings
  return session({
    name: cookieName,
    secret: [...o.signingKeys],
    store: await o.store(),
    genid: (req) => (req as unknown as { readonly [NEW_ID]: SessionId })[NEW_ID],
    resave: false,
    // With it the end of the response writes nothing more: what save() wrote counts as saved. So the record is written once.
    saveUninitialized: true,
    rolling: false,
    unset: 'keep',
    // No Max-Age: the idle time is kept in the store.
    cookie: {
      httpOnly: true,
      secure: true,
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
