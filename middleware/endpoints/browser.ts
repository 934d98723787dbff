import type { IncomingMessage, ServerResponse } from 'node:http'
import { bugIn } from '../bug.ts'
import { createLate, nextTurn } from '../late.ts'
import type { LoginDeps } from '../login/deps.ts'
import type { Answer } from '../types.ts'
import type { WriteSession } from './express-app.ts'

/** The browser endpoints, and when what they are made of is loaded. */
export interface BrowserEndpoints {
  handle(req: IncomingMessage, res: ServerResponse): void
  /** Loads Express and the endpoints, where nobody has asked for one yet. Never rejects. */
  readonly load: () => Promise<void>
}

type Handler = (req: IncomingMessage, res: ServerResponse) => void

/**
 * Express and what comes with it is a third of all that a start has to load, and a check needs none of it: it is loaded when the
 * listeners are up. A request that comes before waits for it.
 */
export function createBrowserEndpoints(deps: LoginDeps, writeSession: WriteSession, jwks?: Answer): BrowserEndpoints {
  const late = createLate<Handler>(async () => {
    // In pieces, so that checks are answered in between.
    await import('express')
    await nextTurn()
    const { createExpressApp } = await import('./express-app.ts')
    return createExpressApp(deps, writeSession, jwks)
  })
  const bug = (e: unknown): void => deps.emit(bugIn('endpoints', e))
  return {
    handle: (req, res) => {
      const now = late.now()
      if (now !== undefined) now(req, res)
      else
        void late.load().then(
          (handler) => handler(req, res),
          (e: unknown) => {
            bug(e)
            res.writeHead(500, { 'X-BFF-Error': 'INTERNAL_ERROR', 'Content-Length': '0' }).end()
          },
        )
    },
    load: () => late.load().then(() => undefined, bug),
  }
}
