export interface Address {
  readonly protocol: string
  readonly host: string
  readonly hostname: string
  readonly port: string
}

const addresses = new WeakMap<URL, Address>()

/** Where httpxy connects to; the path is the request's own. Read once: each part of a URL is written anew when it is asked for. */
export function addressOf(base: URL): Address {
  let address = addresses.get(base)
  if (address === undefined) {
    const { protocol, host, hostname, port } = base
    addresses.set(base, (address = { protocol, host, hostname, port }))
  }
  return address
}

/** What the upstream is told that it is called. */
export function hostOf(base: URL): string {
  return addressOf(base).host
}
