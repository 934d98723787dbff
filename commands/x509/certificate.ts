import { createHash, createPublicKey, sign, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import { addressBytes, bits, explicit, implicit, integer, octets, oid, sequence, set, time, utf8, yes } from './der.ts'

export interface CertificateSpec {
  readonly subject: string
  readonly issuer: string
  /** 16 random bytes. */
  readonly serial: Uint8Array
  readonly notBefore: Date
  readonly notAfter: Date
  readonly key: KeyObject
  readonly issuerKey: KeyObject
  readonly use: { readonly kind: 'ca' | 'client' } | { readonly kind: 'server'; readonly hosts: readonly string[] }
}

const ECDSA_SHA256 = '1.2.840.10045.4.3.2'
const EXTENSION = {
  subjectKey: '2.5.29.14',
  keyUsage: '2.5.29.15',
  altName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKey: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
}
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** A certificate of version 3 (RFC 5280 §4.1) on EC keys, signed with ECDSA and SHA-256. PEM. */
export function writeCertificate(c: CertificateSpec): string {
  const algorithm = sequence(oid(ECDSA_SHA256))
  const body = sequence(
    explicit(0, integer(2)),
    // Positive, and never longer than 20 bytes.
    integer(Uint8Array.from([c.serial[0] ?? 0, ...c.serial.slice(1)].map((b, i) => (i === 0 ? (b & 0x3f) | 0x40 : b)))),
    algorithm,
    name(c.issuer),
    sequence(time(c.notBefore), time(c.notAfter)),
    name(c.subject),
    publicKeyOf(c.key).export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(...extensions(c))),
  )
  const signature = sign('sha256', body, { key: c.issuerKey, dsaEncoding: 'der' })
  const der = sequence(body, algorithm, bits(signature))
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

const name = (commonName: string): Buffer => sequence(set(sequence(oid('2.5.4.3'), utf8(commonName))))

function extensions(c: CertificateSpec): Buffer[] {
  const of = (id: string, value: Uint8Array, critical = false): Buffer =>
    sequence(oid(id), ...(critical ? [yes()] : []), octets(value))
  const common = [
    of(EXTENSION.subjectKey, octets(keyId(c.key))),
    of(EXTENSION.authorityKey, sequence(implicit(0, keyId(c.issuerKey)))),
  ]
  if (c.use.kind === 'ca')
    return [
      // Signs leaves and nothing that signs again.
      of(EXTENSION.basicConstraints, sequence(yes(), integer(0)), true),
      // keyCertSign and cRLSign.
      of(EXTENSION.keyUsage, bits(Buffer.from([0b0000_0110]), 1), true),
      ...common,
    ]
  const purpose = c.use.kind === 'server' ? SERVER_AUTH : CLIENT_AUTH
  return [
    of(EXTENSION.basicConstraints, sequence(), true),
    // digitalSignature: all that (EC)DHE wants.
    of(EXTENSION.keyUsage, bits(Buffer.from([0b1000_0000]), 7), true),
    of(EXTENSION.extendedKeyUsage, sequence(oid(purpose))),
    ...(c.use.kind === 'server' ? [of(EXTENSION.altName, sequence(...c.use.hosts.map(altName)))] : []),
    ...common,
  ]
}

const altName = (host: string): Buffer =>
  isIP(host) === 0 ? implicit(2, Buffer.from(host, 'latin1')) : implicit(7, addressBytes(host))

/** RFC 5280 §4.2.1.2, method 1, over the public key's own bytes: on P-256, the last 65 of its SPKI. */
function keyId(key: KeyObject): Buffer {
  const spki = publicKeyOf(key).export({ type: 'spki', format: 'der' })
  return createHash('sha1').update(spki.subarray(-65)).digest()
}

function publicKeyOf(key: KeyObject): KeyObject {
  return key.type === 'private' ? createPublicKey(key.export({ type: 'pkcs8', format: 'pem' })) : key
}
