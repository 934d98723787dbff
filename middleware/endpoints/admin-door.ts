import { createHash, timingSafeEqual } from 'node:crypto'
import type { ServerSettings } from '../../config/types.ts'
import { isLoopback } from '../../config/values/net.ts'
import { isLoopbackName } from '../decide/origins.ts'
import type { Answer, RawRequest } from '../types.ts'
import { json } from './session.ts'

/**
 * Who may ask what tells of the config, or changes state: where the listener is on loopback whoever is on the
 * machine, else who brings `server.admin_token`. A foreign Host is refused everywhere: a web page could have its own name lead here (DNS rebinding).
 * @returns the refusal, or undefined.
 */
export function adminDoor(raw: RawRequest, server: ServerSettings): Answer | undefined {
  if (!isAdminHost(raw, server)) return json(403, { error: 'foreign Host' })
  if (isLoopback(server.adminListen?.host ?? '')) return undefined
  const given = raw.all('authorization')
  const token = /^bearer +(\S+)$/i.exec(given.length === 1 ? (given[0] ?? '') : '')?.[1]
  if (server.adminToken === undefined || token === undefined || !isSame(token, server.adminToken.reveal()))
    return json(401, { error: 'server.admin_token is wanted' }, [['WWW-Authenticate', 'Bearer']])
  return undefined
}

/** Whether a request names the listener as somebody beside it would: an address, a name that never leaves the machine, or the host that `admin_listen` itself names. */
export function isAdminHost(raw: RawRequest, server: ServerSettings): boolean {
  const [host, more] = raw.all('host')
  if (host === undefined || more !== undefined) return false
  const name = host.toLowerCase().replace(/:\d+$/, '')
  const address = /^\d{1,3}(?:\.\d{1,3}){3}$/.test(name) || /^\[[0-9a-f:.]+\]$/.test(name)
  return address || isLoopbackName(name) || name === server.adminListen?.host.toLowerCase()
}

/** Of digests, so that neither length nor content is told by the time it takes. */
function isSame(a: string, b: string): boolean {
  const digest = (s: string): Buffer => createHash('sha256').update(s).digest()
  return timingSafeEqual(digest(a), digest(b))
}
