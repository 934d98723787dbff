import { X509Certificate, createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join, relative, resolve } from 'node:path'
import { parse } from 'yaml'
import { writeCertificate, type CertificateSpec } from './x509/certificate.ts'

export interface CertsArgs {
  readonly out: string | undefined
  readonly hosts: readonly string[]
  readonly force: boolean
}

const DAY_MS = 86_400_000
const CA_DAYS = 3650
const LEAF_DAYS = 365
/** Clocks of two machines differ. */
const BACKDATED_MS = 5 * 60_000
const CA_NAME = 'traefik-bff private CA'
const PORT = 4443

interface Authority {
  readonly certificate: X509Certificate
  readonly key: KeyObject
  readonly made: boolean
}

/**
 * `traefik-bff certs`: a private CA, the certificate of `verify_listen` and Traefik's client certificate, and the lines to
 * paste on both sides. A CA that is there already is kept, so that renewing (`--force`) changes the leaves alone and both
 * sides go on trusting each other. Returns the exit code: 1 where files would be overwritten or cannot be used.
 */
export function certs(
  dir: string,
  args: CertsArgs,
  out: (line: string) => void,
  err: (line: string) => void,
  now = new Date(),
): number {
  const folder = resolve(args.out ?? join(dir, 'tls'))
  const hosts = [...new Set([...args.hosts, ...listenHost(dir), ...namesOf(folder), '127.0.0.1', 'localhost', '::1'])]
  const bad = hosts.find((h) => !isHost(h))
  if (bad !== undefined) {
    err(`traefik-bff: --host ${JSON.stringify(bad)} is no host name and no address`)
    return 2
  }
  const leaves = ['bff.pem', 'bff.key', 'traefik.pem', 'traefik.key']
  const there = leaves.filter((f) => existsSync(join(folder, f)))
  if (there.length > 0 && !args.force) {
    err(
      `traefik-bff: ${there.map((f) => join(folder, f)).join(', ')} is there already. --force renews, and keeps the CA.`,
    )
    return 1
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  let ca: Authority
  try {
    ca = readAuthority(folder) ?? makeAuthority(folder, now)
  } catch (e) {
    err(
      `traefik-bff: ${join(folder, 'ca.pem')} and ca.key cannot be used: ${e instanceof Error ? e.message : 'unreadable'}`,
    )
    return 1
  }
  const until = new Date(Math.min(now.getTime() + LEAF_DAYS * DAY_MS, ca.certificate.validToDate.getTime()))
  if (until.getTime() <= now.getTime()) {
    err(`traefik-bff: the CA in ${folder} has expired. Move ca.pem and ca.key away and start again.`)
    return 1
  }
  writeLeaf(folder, 'bff', ca, now, until, { kind: 'server', hosts })
  writeLeaf(folder, 'traefik', ca, now, until, { kind: 'client' })
  tell(folder, dir, ca, hosts, until, out)
  return 0
}

function tell(
  folder: string,
  dir: string,
  ca: Authority,
  hosts: readonly string[],
  until: Date,
  out: (line: string) => void,
): void {
  const inside = relative(resolve(dir), folder)
  const inConfig = (file: string): string => join(inside.startsWith('..') ? folder : inside, file)
  const at = (file: string): string => join(folder, file)
  const address = hosts[0] ?? 'localhost'
  const host = isIP(address) === 6 ? `[${address}]` : address
  for (const line of [
    `# ${folder}: ${ca.made ? 'a new CA' : 'the CA that was there'} (until ${day(ca.certificate.validToDate)}), bff.* and traefik.* (until ${day(until)})`,
    `# the server's names: ${hosts.join(', ')}`,
    '',
    '# settings.yaml',
    'server:',
    `  verify_listen: 127.0.0.1:${PORT} # where Traefik reaches it`,
    `  verify_tls: { cert: ${inConfig('bff.pem')}, key: ${inConfig('bff.key')}, client_ca: ${inConfig('ca.pem')} }`,
    '',
    "# Traefik's dynamic configuration",
    'http:',
    '  middlewares:',
    '    bff-auth:',
    '      forwardAuth:',
    `        address: "https://${host}:${PORT}/auth/verify"`,
    `        tls: { ca: "${at('ca.pem')}", cert: "${at('traefik.pem')}", key: "${at('traefik.key')}" }`,
    '',
    '# Traefik gets ca.pem and traefik.*; bff.key stays with the service; ca.key is needed to renew, and nowhere else.',
    `# Renew: traefik-bff certs --out ${folder} --force. The service reads changed files by itself, Traefik after a change of its configuration.`,
  ])
    out(line)
}

const day = (at: Date): string => at.toISOString().slice(0, 10)

function readAuthority(folder: string): Authority | undefined {
  const [cert, key] = [join(folder, 'ca.pem'), join(folder, 'ca.key')]
  if (!existsSync(cert) && !existsSync(key)) return undefined
  const found = {
    certificate: new X509Certificate(readFileSync(cert)),
    key: createPrivateKey(readFileSync(key)),
    made: false,
  }
  // A leaf must repeat its issuer's name byte for byte.
  if (!found.certificate.ca || found.certificate.subject !== `CN=${CA_NAME}`)
    throw new Error('it is no CA that this command has made')
  if (!found.certificate.checkPrivateKey(found.key)) throw new Error('the key is not the certificate’s')
  return found
}

function makeAuthority(folder: string, now: Date): Authority {
  const key = newKey()
  const pem = writeCertificate({
    ...dates(now, new Date(now.getTime() + CA_DAYS * DAY_MS)),
    subject: CA_NAME,
    issuer: CA_NAME,
    key,
    issuerKey: key,
    use: { kind: 'ca' },
  })
  write(folder, 'ca.key', pkcs8(key))
  write(folder, 'ca.pem', pem)
  return { certificate: new X509Certificate(pem), key, made: true }
}

function writeLeaf(
  folder: string,
  name: string,
  ca: Authority,
  now: Date,
  until: Date,
  use: CertificateSpec['use'],
): void {
  const key = newKey()
  const pem = writeCertificate({
    ...dates(now, until),
    subject: name === 'bff' ? 'traefik-bff' : 'traefik',
    issuer: CA_NAME,
    key,
    issuerKey: ca.key,
    use,
  })
  write(folder, `${name}.key`, pkcs8(key))
  write(folder, `${name}.pem`, pem)
}

const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
const pkcs8 = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' })
const dates = (now: Date, notAfter: Date): Pick<CertificateSpec, 'serial' | 'notBefore' | 'notAfter'> => ({
  serial: randomBytes(16),
  notBefore: new Date(now.getTime() - BACKDATED_MS),
  notAfter,
})

/** Beside it, then renamed: who reads meanwhile sees the whole old file or the whole new one. */
function write(folder: string, name: string, text: string): void {
  const path = join(folder, name)
  writeFileSync(`${path}.new`, text, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

/** A renewed certificate keeps its names. */
function namesOf(folder: string): string[] {
  try {
    const names = new X509Certificate(readFileSync(join(folder, 'bff.pem'))).subjectAltName ?? ''
    return names
      .split(', ')
      .map((n) => n.replace(/^(?:DNS|IP Address):/, '').toLowerCase())
      .filter(isHost)
  } catch {
    return []
  }
}

/** The host of `server.verify_listen`, where settings.yaml says one that a client can dial. */
function listenHost(dir: string): string[] {
  try {
    const settings = parse(readFileSync(join(dir, 'settings.yaml'), 'utf8')) as {
      readonly server?: { readonly verify_listen?: unknown }
    } | null
    const listen = settings?.server?.verify_listen
    const host = typeof listen === 'string' ? /^\[?([^\]]+?)\]?:\d+$/.exec(listen)?.[1] : undefined
    return host === undefined || host === '0.0.0.0' || host === '::' || !isHost(host) ? [] : [host]
  } catch {
    // No config yet: certificates may be the first step.
    return []
  }
}

function isHost(host: string): boolean {
  return (
    isIP(host) !== 0 ||
    (host.length <= 253 &&
      /^(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i.test(host))
  )
}
