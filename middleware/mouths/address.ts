import { BlockList, isIP } from 'node:net'

/**
 * An address as proxies write it (`1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]:443`, with a zone id) in one
 * spelling: no port, no zone, IPv4 in IPv6 (`::ffff:1.2.3.4`) as the IPv4 that it is, IPv6 compressed and in lower case
 * (RFC 5952). Undefined for anything else.
 */
export function parseAddress(text: string): string | undefined {
  // What most of them are.
  if (isIP(text) === 4) return text
  const inner = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(text)?.[1] ?? text
  const address = inner.replace(/%[\w.~-]{1,32}$/, '')
  const family = isIP(address)
  // Node takes any text for a zone (`::%eth0::`); a URL takes none.
  if (family === 0 || address.includes('%')) return undefined
  if (family === 4) return address
  const plain = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(plain)
  if (mapped === null) return plain
  const [high, low] = [parseInt(mapped[1] ?? '', 16), parseInt(mapped[2] ?? '', 16)]
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/** Addresses that no client on the internet has: RFC 1918, 6598 (shared), 3927 and 4291 (link-local), 4193, loopback. */
const PRIVATE = [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
  ['127.0.0.0', 8],
  ['fc00::', 7],
  ['fe80::', 10],
  ['::1', 128],
] as const

let blocks: BlockList | undefined

/** Whether an address is one that a gateway of the same network may have. */
export function isPrivateAddress(address: string): boolean {
  if (blocks === undefined) {
    blocks = new BlockList()
    for (const [net, bits] of PRIVATE) blocks.addSubnet(net, bits, net.includes(':') ? 'ipv6' : 'ipv4')
  }
  const family = isIP(address)
  return family !== 0 && blocks.check(address, family === 6 ? 'ipv6' : 'ipv4')
}
