import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { onPath } from '../../demo/launcher/find.ts'
import { certs } from '../../commands/certs.ts'
import { addressBytes, integer, oid, time } from '../../commands/x509/der.ts'

const run = promisify(execFile)

const hex = (b: Uint8Array): string => Buffer.from(b).toString('hex')

describe('DER', () => {
  test('integers are as short as they can be and never negative; identifiers and dates are as RFC 5280 has them', () => {
    assert.equal(hex(integer(0)), '020100')
    assert.equal(hex(integer(Uint8Array.from([0, 0, 0x7f]))), '02017f')
    assert.equal(hex(integer(Uint8Array.from([0x80]))), '02020080')
    assert.equal(hex(oid('1.2.840.10045.4.3.2')), '06082a8648ce3d040302')
    assert.equal(time(new Date('2049-12-31T23:59:59.900Z')).subarray(2).toString(), '491231235959Z')
    assert.equal(time(new Date('2050-01-01T00:00:00Z')).subarray(2).toString(), '20500101000000Z')
  })

  test('addresses in every spelling become their bytes', () => {
    assert.equal(hex(addressBytes('10.0.0.3')), '0a000003')
    assert.equal(hex(addressBytes('::1')), `${'00'.repeat(15)}01`)
    assert.equal(hex(addressBytes('2001:DB8::a:0:0')), '20010db8000000000000000a00000000')
    assert.equal(hex(addressBytes('::ffff:10.0.0.3')), `${'00'.repeat(10)}ffff0a000003`)
  })
})

describe('traefik-bff certs', () => {
  let dir: string
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'bff-certs-'))
    writeFileSync(join(dir, 'settings.yaml'), 'server: { verify_listen: "10.9.8.7:4443" }\n')
  })
  after(() => rmSync(dir, { recursive: true, force: true }))
  const read = (name: string): X509Certificate => new X509Certificate(readFileSync(join(dir, 'tls', name)))
  const make = (o: { hosts?: string[]; force?: boolean; now?: Date } = {}): { code: number; said: string } => {
    const lines: string[] = []
    const say = (line: string): void => void lines.push(line)
    const args = { out: undefined, hosts: o.hosts ?? [], force: o.force ?? false }
    const code = certs(dir, args, say, say, o.now)
    return { code, said: lines.join('\n') }
  }

  test('makes a CA and a certificate for each side, that fit, for the names that are dialled, in files nobody else reads', () => {
    const { code, said } = make({ hosts: ['bff.internal'] })
    assert.equal(code, 0)
    for (const f of ['ca.pem', 'ca.key', 'bff.pem', 'bff.key', 'traefik.pem', 'traefik.key'])
      assert.equal(statSync(join(dir, 'tls', f)).mode & 0o777, 0o600, f)
    const [ca, bff, traefik] = [read('ca.pem'), read('bff.pem'), read('traefik.pem')]
    assert.ok(ca.ca && ca.verify(ca.publicKey))
    for (const leaf of [bff, traefik]) {
      assert.ok(!leaf.ca && leaf.checkIssued(ca) && leaf.verify(ca.publicKey))
      assert.ok(leaf.validToDate <= ca.validToDate)
    }
    for (const host of ['bff.internal', 'localhost']) assert.equal(bff.checkHost(host), host)
    for (const ip of ['10.9.8.7', '127.0.0.1', '::1']) assert.ok(bff.checkIP(ip), ip)
    assert.deepEqual([bff.keyUsage, traefik.keyUsage], [['1.3.6.1.5.5.7.3.1'], ['1.3.6.1.5.5.7.3.2']])
    assert.match(said, /verify_tls: \{ cert: tls\/bff\.pem, key: tls\/bff\.key, client_ca: tls\/ca\.pem \}/)
    assert.match(said, /address: "https:\/\/bff\.internal:4443\/auth\/verify"/)
  })

  test('overwrites nothing unasked; renewing keeps the CA and the names', () => {
    const before = ['ca.pem', 'bff.pem'].map((f) => read(f).serialNumber)
    assert.equal(make().code, 1)
    assert.deepEqual(
      ['ca.pem', 'bff.pem'].map((f) => read(f).serialNumber),
      before,
    )
    assert.equal(make({ force: true, hosts: ['two.internal'] }).code, 0)
    assert.equal(read('ca.pem').serialNumber, before[0])
    assert.notEqual(read('bff.pem').serialNumber, before[1])
    for (const host of ['bff.internal', 'two.internal']) assert.equal(read('bff.pem').checkHost(host), host)
  })

  test('a leaf never outlives its CA, and an expired CA is said', () => {
    const year = 365 * 86_400_000
    assert.equal(make({ force: true, now: new Date(Date.now() + 9.5 * year) }).code, 0)
    assert.deepEqual(read('bff.pem').validToDate, read('ca.pem').validToDate)
    const late = make({ force: true, now: new Date(Date.now() + 11 * year) })
    assert.deepEqual([late.code, /expired/.test(late.said)], [1, true])
  })

  test('a host that is none, and a CA that is not ours, are refused', () => {
    assert.equal(make({ force: true, hosts: ['a b'] }).code, 2)
    writeFileSync(join(dir, 'tls', 'ca.key'), readFileSync(join(dir, 'tls', 'bff.key')))
    const other = make({ force: true })
    assert.deepEqual([other.code, /cannot be used/.test(other.said)], [1, true])
  })

  test('openssl takes them in strict mode, each for its own purpose alone', async (t) => {
    if ((await onPath('openssl')) === undefined)
      return t.skip('no openssl on PATH; Node has checked the same files above')
    rmSync(join(dir, 'tls'), { recursive: true })
    make()
    const verify = (purpose: string, file: string): Promise<boolean> =>
      run('openssl', ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', 'ca.pem', file], {
        cwd: join(dir, 'tls'),
      }).then(
        () => true,
        () => false,
      )
    assert.deepEqual(
      [
        await verify('sslserver', 'bff.pem'),
        await verify('sslclient', 'traefik.pem'),
        await verify('sslclient', 'bff.pem'),
        await verify('sslserver', 'traefik.pem'),
      ],
      [true, true, false, false],
    )
  })
})
