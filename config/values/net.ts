import { isIP, isIPv4 } from 'node:net'
import { Refused } from '../finding.ts'
import type { ListenAddress } from '../types.ts'

/** Whether a hostname (as `URL.hostname` has it) never leaves the machine: RFC 6761 §6.3, 127.0.0.0/8, ::1. */
export function isLoopback(hostname: string): boolean {
  const h = hostname
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/^\[(.*)\]$/, '$1')
  if (h === 'localhost' || h.endsWith('.localhost') || h === '::1') return true
  return isIPv4(h) && h.startsWith('127.')
}

/** `127.0.0.1:4181`, `[::1]:4181`, `:4181` (every address). Port 0 takes a free one. */
export function parseListen(text: string): ListenAddress | Refused {
  const m = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]*):(\d{1,5})$/.exec(text)
  const host = (m?.[1] ?? '').replace(/^\[(.*)\]$/, '$1')
  const port = Number(m?.[2])
  const bracketed = m?.[1]?.startsWith('[') === true
  if (m === null || port > 65_535 || (bracketed && isIP(host) !== 6) || (/^[\d.]+$/.test(host) && !isIPv4(host)))
    return new Refused(
      'BAD_LISTEN',
      'this is not an address to listen on',
      'Write host:port, such as 127.0.0.1:4181 or [::1]:4181.',
    )
  return { host: host === '' ? '::' : host, port }
}

/** A CIDR block, or one address; always returned with its prefix length. */
export function parseCidr(text: string): string | Refused {
  const m = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text)
  const family = isIP(m?.[1] ?? '')
  const most = family === 4 ? 32 : 128
  const bits = m?.[2] === undefined ? most : Number(m[2])
  if (m?.[1] === undefined || family === 0 || bits > most)
    return new Refused(
      'BAD_CIDR',
      'this is not an address block',
      'Write a CIDR block: 10.1.0.0/16, 127.0.0.1/32, fd00::/8.',
    )
  return `${m[1]}/${bits}`
}

/** A block of peers to believe. One that holds every address would let anyone say who they are. */
export function parseTrusted(text: string): string | Refused {
  const block = parseCidr(text)
  if (typeof block !== 'string' || prefixOf(block).bits > 0) return block
  return new Refused(
    'TRUSTS_EVERYBODY',
    'this block holds every address',
    'Name the gateway’s own addresses: 10.1.2.3/32.',
  )
}

/** The prefix length of what {@link parseCidr} returned, and how long it could be. */
export function prefixOf(cidr: string): { readonly bits: number; readonly most: number } {
  const [address = '', bits = ''] = cidr.split('/')
  return { bits: Number(bits), most: isIPv4(address) ? 32 : 128 }
}
