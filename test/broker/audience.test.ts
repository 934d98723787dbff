import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { audienceFits, decodeJwt, expiryOf, issuerFits, readAudiences } from '../../middleware/broker/audience.ts'
import type { EpochMs } from '../../middleware/types.ts'

describe('whether an audience fits', () => {
  it('R9 fits only as the very string, or a list of just that', () => {
    const cases: readonly (readonly [unknown, boolean, boolean])[] = [
      ['https://a.example', true, true],
      [['https://a.example'], true, true],
      [['https://a.example', 'https://b.example'], false, true],
      [['https://a.example', 'https://a.example'], false, true],
      ['https://a.example/', false, false],
      ['https://A.example', false, false],
      ['https://a.example https://b.example', false, false],
      [[], false, false],
      [undefined, false, false],
      [{ toString: () => 'https://a.example' }, false, false],
      [['https://a.example', 7], false, false],
      [[['https://a.example']], false, false],
    ]
    for (const [aud, alone, among] of cases) {
      assert.equal(audienceFits(readAudiences(aud), 'https://a.example', false), alone, JSON.stringify(aud))
      assert.equal(audienceFits(readAudiences(aud), 'https://a.example', true), among, JSON.stringify(aud))
    }
  })

  it('R9 never fits for anything but the wanted string, whatever the claim holds', () => {
    fc.assert(
      fc.property(fc.anything(), fc.string({ minLength: 1 }), (aud, wanted) => {
        if (audienceFits(readAudiences(aud), wanted, false))
          assert.ok(aud === wanted || (Array.isArray(aud) && aud.length === 1 && aud[0] === wanted))
      }),
    )
  })

  it('reads no claims from what is no JWT, whatever it holds', () => {
    fc.assert(fc.property(fc.string(), (text) => void decodeJwt(text)))
    assert.equal(decodeJwt('a.b.c'), undefined)
    assert.equal(decodeJwt('a.b.c.d.e'), undefined)
  })

  it('takes Entra ID’s v1 issuer of the same tenant only, and an own authorization server’s only at its own token endpoint', () => {
    const entra = 'https://login.microsoftonline.com/tenant-1/v2.0'
    assert.equal(issuerFits('https://sts.windows.net/tenant-1/', entra, undefined), true)
    assert.equal(issuerFits('https://sts.windows.net/tenant-2/', entra, undefined), false)
    assert.equal(issuerFits('https://sts.windows.net/tenant-1/', 'https://idp.example.com/tenant-1', undefined), false)
    assert.equal(issuerFits('https://x.okta.com/oauth2/aus1', 'https://x.okta.com', undefined), false)
    assert.equal(
      issuerFits(
        'https://x.okta.com/oauth2/aus1',
        'https://x.okta.com',
        new URL('https://x.okta.com/oauth2/aus1/v1/token'),
      ),
      true,
    )
    assert.equal(issuerFits(7, entra, undefined), false)
  })

  it('takes the earlier of expires_in and exp', () => {
    assert.equal(expiryOf(1_000 as EpochMs, 60, 30), 30_000)
    assert.equal(expiryOf(1_000 as EpochMs, 10, 30), 11_000)
    assert.equal(expiryOf(1_000 as EpochMs, undefined, 'x'), undefined)
  })
})
