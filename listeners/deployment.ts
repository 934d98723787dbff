import { createHmac, timingSafeEqual } from 'node:crypto'
import type { ListenAddress, Secret } from '../config/types.ts'
import { request } from '../middleware/node-http.ts'
import { deriveKeys } from '../middleware/session/keys.ts'

/** A process that is about to share a port asks who holds it; both sides prove that they have the same session secret. */
export const DEPLOYMENT_HEADER = 'X-BFF-Deployment'

/** How long whoever holds the port may take to answer. */
export const ASK_MS = 2000

/** What stands behind a port that is taken. */
export type Holder = 'sibling' | 'stranger' | 'nobody'

export interface Deployment {
  /** What to say to a request with this header; undefined where it does not come from a sibling. */
  answer(asked: string | undefined): string | undefined
  /** Asks over plain HTTP/1.1. `nobody`: nothing listens, or it went away meanwhile. */
  ask(at: ListenAddress, path: string): Promise<Holder>
}

/**
 * Knows siblings by `session.secret`: `<nonce>.<proof>[.<proof>]` is asked, one proof for each secret that the list holds,
 * so that a rotated list still knows its predecessor. A stranger who asks learns nothing, and one who holds the port cannot
 * give the answer.
 */
export function createDeployment(secrets: readonly Secret[], random: (bytes: number) => Uint8Array): Deployment {
  const keys = deriveKeys(secrets, 'deployment')
  const sign = (key: Buffer, what: string): string => createHmac('sha256', key).update(what).digest('base64url')
  return {
    answer: (asked) => {
      const [nonce = '', ...proofs] = (asked ?? '').split('.')
      if (!/^[0-9a-f]{32}$/.test(nonce) || proofs.length > 8) return undefined
      const key = keys.find((k) => proofs.some((p) => same(p, sign(k, `ask ${nonce}`))))
      return key === undefined ? undefined : sign(key, `answer ${nonce}`)
    },
    ask: async (at, path) => {
      const nonce = Buffer.from(random(16)).toString('hex')
      const asked = [nonce, ...keys.map((k) => sign(k, `ask ${nonce}`))].join('.')
      const got = await answerOf(at, path, asked)
      if (got === null) return 'nobody'
      return keys.some((k) => same(got ?? '', sign(k, `answer ${nonce}`))) ? 'sibling' : 'stranger'
    },
  }
}

function same(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}

/** Where a process on this machine reaches what listens on an address. */
export function reachable(at: ListenAddress): ListenAddress {
  const host = at.host === '0.0.0.0' ? '127.0.0.1' : at.host === '::' ? '::1' : at.host
  return { host, port: at.port }
}

/** The answer's header; null where the connection is refused or cut, undefined where the answer has no such header. */
function answerOf(at: ListenAddress, path: string, asked: string): Promise<string | undefined | null> {
  return new Promise((resolve) => {
    const { host, port } = reachable(at)
    const req = request({ host, port, path, agent: false, headers: { [DEPLOYMENT_HEADER]: asked } }, (res) => {
      const value = res.headers[DEPLOYMENT_HEADER.toLowerCase()]
      resolve(typeof value === 'string' ? value : undefined)
      req.destroy()
    })
    req.setTimeout(ASK_MS, () => {
      resolve(undefined)
      req.destroy()
    })
    req.once('error', (e: NodeJS.ErrnoException) => {
      resolve(e.code === 'ECONNREFUSED' || e.code === 'ECONNRESET' ? null : undefined)
    })
    req.end()
  })
}
