import { lowerCase } from '../middleware/mouths/header-lines.ts'

/**
 * Headers that end at each hop (RFC 9110 §7.6.1), with those that would switch the connection to another protocol.
 * `HTTP2-Settings` comes with `Upgrade: h2c`, which would open a tunnel past every check (CVE-2026-88008).
 */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Tells which headers of this message end here: the fixed ones and those that its `Connection` names. */
export function compileHopByHop(rawHeaders: readonly string[]): (lowerName: string) => boolean {
  let named: Set<string> | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = lowerCase(rawHeaders[i] ?? '')
    if (name !== 'connection' && name !== 'proxy-connection') continue
    for (const token of (rawHeaders[i + 1] ?? '').split(',')) (named ??= new Set()).add(token.trim().toLowerCase())
  }
  return (name) => HOP_BY_HOP.has(name) || named?.has(name) === true
}
