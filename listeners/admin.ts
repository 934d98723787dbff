import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Composed, LongLived } from '../compose.ts'
import { isLoopback } from '../config/values/net.ts'
import { bugIn } from '../middleware/bug.ts'
import { adminDoor, isAdminHost } from '../middleware/endpoints/admin-door.ts'
import { health, ready } from '../middleware/endpoints/health.ts'
import { json } from '../middleware/endpoints/session.ts'
import { rawFromHttp1, writeHttp1 } from '../middleware/mouths/http1.ts'
import type { Answer } from '../middleware/types.ts'
import type { Deployment } from './deployment.ts'
import { siblingAnswer } from './main.ts'
import type { Traffic } from './traffic.ts'

export interface AdminDeps {
  readonly long: LongLived
  readonly isDraining: () => boolean
  readonly deployment: Deployment
  readonly traffic: Traffic
  /** A sibling is about to listen on this port too. */
  readonly onSibling: () => void
}

/** The admin listener: health, readiness, metrics, and why a request is answered as it is. */
export async function serveAdmin(
  req: IncomingMessage,
  res: ServerResponse,
  now: Composed,
  deps: AdminDeps,
): Promise<void> {
  const head = req.method === 'HEAD'
  // `//` and the like are no URL to a parser: a rejection that nobody takes would end the process.
  const url = URL.parse(`http://admin.invalid${req.url ?? '/'}`)
  try {
    const answer =
      url?.host === 'admin.invalid' ? await adminAnswer(req, url, now, deps) : json(400, { error: 'bad request' })
    writeHttp1(res, answer, head)
  } catch (e) {
    deps.long.telemetry.emit(bugIn('admin', e))
    if (res.headersSent) res.destroy()
    else writeHttp1(res, json(500, { error: 'internal error' }), head)
  }
}

async function adminAnswer(req: IncomingMessage, url: URL, now: Composed, deps: AdminDeps): Promise<Answer> {
  const { metrics } = deps.long.telemetry
  const readiness = (scope: string | null): Promise<Answer> =>
    ready(scope, {
      sessions: deps.long.sessions,
      providers: now.providers,
      isDraining: deps.isDraining,
      faults: deps.long.telemetry.faults,
      setStoreUp: metrics.setStoreUp,
      setProviderUp: metrics.setProviderUp,
    })
  if (req.method !== 'GET' && req.method !== 'HEAD')
    return json(405, { error: 'method not allowed' }, [['Allow', 'GET, HEAD']])
  switch (url.pathname) {
    case '/health': {
      const sibling = siblingAnswer(req, deps.deployment)
      if (sibling !== undefined) deps.onSibling()
      return sibling ?? health()
    }
    case '/ready': {
      const scope = url.searchParams.get('scope')
      if (scope !== 'local' && isRebound(req, now)) return json(403, { error: 'foreign Host' })
      if (scope === 'local') deps.traffic.probed()
      return readiness(scope)
    }
    case '/metrics': {
      if (isRebound(req, now)) return json(403, { error: 'foreign Host' })
      await readiness(null)
      return {
        status: 200,
        headers: [
          ['Content-Type', metrics.contentType],
          ['Cache-Control', 'no-store'],
        ],
        body: await metrics.text(),
      }
    }
    case '/explain':
      return adminDoor(rawFromHttp1(req), now.generation.settings.server) ?? answerExplain(url.searchParams, now)
    default:
      return json(404, {
        error: 'not found',
        endpoints: ['/health', '/ready', '/ready?scope=local', '/metrics', '/explain'],
      })
  }
}

/** On loopback only programs of this machine ask, by a local name: another is a web page whose name leads here (DNS rebinding). */
function isRebound(req: IncomingMessage, now: Composed): boolean {
  const { server } = now.generation.settings
  return isLoopback(server.adminListen?.host ?? '') && !isAdminHost(rawFromHttp1(req), server)
}

/** The live generation, explained: of the config alone, never of a session or a token. */
async function answerExplain(q: URLSearchParams, now: Composed): Promise<Answer> {
  const { explain, readQuestion } = await import('../middleware/endpoints/explain.ts')
  const given = (name: string): string | undefined => q.get(name) ?? undefined
  const question = readQuestion({
    method: q.get('method') ?? 'GET',
    url: given('url'),
    as: given('as'),
    claims: given('claims'),
    ip: given('ip'),
  })
  return typeof question === 'string'
    ? json(400, { error: question })
    : json(200, explain(question, now.generation, now.verifyDeps.clock.wallMs()))
}
