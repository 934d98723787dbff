import { BlockList, isIP } from 'node:net'

/** Whether an address lies in one of the CIDR blocks. IPv4 in IPv6 (`::ffff:10.0.0.1`) counts as the IPv4 it is. */
export function compileNetworks(cidrs: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [address = '', bits] = cidr.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  const known = new Map<string, boolean>()
  return (address) => {
    const before = known.get(address)
    if (before !== undefined) return before
    const kind = isIP(address)
    const inside = kind !== 0 && list.check(address, kind === 6 ? 'ipv6' : 'ipv4')
    // Peers are few (gateways); strangers must not fill memory.
    if (known.size < 1000) known.set(address, inside)
    return inside
  }
}
