import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { SignJWT, UnsecuredJWT, decodeJwt, generateKeyPair } from 'jose'
import { pyJwt } from '../support/python.ts'
import { BILLING, ORDERS, ORIGIN, startService } from '../support/service.ts'

const run = promisify(execFile)
const EXAMPLES = join(import.meta.dirname, '..', '..', 'docs', 'examples')
const SCRIPT = `
import json, sys
from verify_assertion import create_verifier
url, issuer, audience, *assertions = sys.argv[1:]
verify = create_verifier(url, issuer, audience)
def said(assertion):
    try:
        return verify(assertion)
    except Exception as e:
        return type(e).__name__
print(json.dumps([said(a) for a in assertions]))
`

test('the Python example takes an assertion of ours for its own audience, and no other token', async () => {
  const packages = await pyJwt()
  const s = await startService({
    settings: (x) => {
      x['identity_headers'] = { assertion: { enabled: true } }
    },
  })
  try {
    const res = await s.verify('/orders/1', { client: await s.signIn() })
    const good = res.headers.get('x-identity-assertion') ?? ''
    const [head = '', body = '', mac = ''] = good.split('.')
    const claims = decodeJwt(good)
    const { privateKey } = await generateKeyPair('ES256')
    const sign = (typ: string): Promise<string> =>
      new SignJWT(claims).setProtectedHeader({ alg: 'ES256', typ, kid: 'unknown' }).sign(privateKey)
    const bad = [
      `${head}.${body}.${mac.startsWith('A') ? 'B' : 'A'}${mac.slice(1)}`,
      `${head}.${Buffer.from(JSON.stringify({ ...claims, sub: 'mallory' })).toString('base64url')}.${mac}`,
      new UnsecuredJWT(claims).encode(),
      await sign('bff-identity+jwt'),
      await sign('JWT'),
      'nothing',
    ]
    const ask = async (audience: string): Promise<unknown[]> => {
      const args = ['-c', SCRIPT, `${s.url}/auth/jwks`, ORIGIN, audience, good, ...bad]
      const env = { ...process.env, PYTHONPATH: `${packages}:${EXAMPLES}`, PYTHONDONTWRITEBYTECODE: '1' }
      return JSON.parse((await run('python3', args, { env })).stdout) as unknown[]
    }
    const [told, ...refused] = await ask(ORDERS)
    assert.deepEqual(told, claims)
    for (const r of refused) assert.equal(typeof r, 'string')
    assert.deepEqual((await ask(BILLING))[0], 'InvalidAudienceError')
  } finally {
    await s.stop()
  }
})
