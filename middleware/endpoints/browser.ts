import type { IncomingMessage, ServerResponse } from 'node:http'
import type { LoginDeps } from '../login/deps.ts'
import type { Answer } from '../types.ts'
import type { WriteSession } from './express-app.ts'

/** The browser endpoints, and when what they are made of is loaded. */
export interface BrowserEndpoints {
  handle(req: IncomingMessage, res: ServerResponse): void
  /** Loads Express and the endpoints, where nobody has asked for one yet. Never rejects. */
  load(): Promise<void>
}

type Handler = (req: IncomingMessage, res: ServerResponse) => void

/**
 * Express and what comes with it is a third of all that a start has to load, and a check needs none of it: it is loaded when the
 * listeners are up. A request that comes before waits for it.
 */
export function createBrowserEndpoints(deps: LoginDeps, writeSession: WriteSession, jwks?: Answer): BrowserEndpoints {
  let handler: Handler | undefined
  let loading: Promise<void> | undefined
  const load = async (): Promise<void> => {
    try {
      const { createExpressApp } = await import('./express-app.ts')
      handler = createExpressApp(deps, writeSession, jwks)
    } catch (e) {
      // The next request tries again.
      loading = undefined
      deps.emit({
        name: 'bug',
        fields: { where: 'endpoints', error: e instanceof Error ? (e.stack ?? e.message) : 'unknown' },
      })
    }
  }
  const loaded = (): Promise<void> => (loading ??= load())
  return {
    handle: (req, res) => {
      if (handler !== undefined) handler(req, res)
      else
        void loaded().then(() => {
          if (handler !== undefined) handler(req, res)
          else res.writeHead(500, { 'X-BFF-Error': 'INTERNAL_ERROR', 'Content-Length': '0' }).end()
        })
    },
    load: loaded,
  }
}
