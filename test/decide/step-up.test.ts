import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { secret } from '../../config/secret.ts'
import type { Require } from '../../config/types.ts'
import { stepUp, strengthOf } from '../../middleware/decide/step-up.ts'
import { isTooOld, signedInAt } from '../../middleware/provider/auth-age.ts'
import type { Claims, Context, DecideDeps, Decision, EpochMs, LiveSession, Principal } from '../../middleware/types.ts'

const NOW = 1_800_000_000_000 as EpochMs
const ANY: Require = { groups: [], scopes: [], claims: {}, acr: [], networks: [] }
const deps = {
  clock: { wallMs: () => NOW },
  now: {
    settings: {
      providers: new Map([
        ['a', {}],
        ['b', {}],
      ]),
    },
  },
} as unknown as DecideDeps

function user(state: { acr?: string; agoS?: number }): Principal {
  const session = {
    record: { provider: 'b' },
    state: {
      ...(state.acr === undefined ? {} : { acr: state.acr }),
      ...(state.agoS === undefined ? {} : { signedInAt: NOW - state.agoS * 1000 }),
    },
  } as unknown as LiveSession
  return { kind: 'user', session }
}

const machine = (claims: Claims): Principal => ({
  kind: 'machine',
  issuer: 'https://partner.example.com',
  claims,
  token: secret('t'),
  expiresAt: NOW,
})

function ask(principal: Principal, rules: readonly Partial<Require>[], wants = 'navigation'): Decision | undefined {
  const c = { principal, facts: { wants } } as unknown as Context
  return stepUp(c, deps, strengthOf(rules.map((r) => ({ ...ANY, ...r }))))
}

describe('step-up', () => {
  test('what route and service want is asked for at once, at the provider of the session', () => {
    const decided = ask(user({ acr: 'silver', agoS: 400 }), [
      { acr: ['gold', 'black'] },
      { maxAgeS: 300, acr: ['gold'] },
    ])
    assert.deepEqual(decided, {
      kind: 'login',
      code: 'STEP_UP_REQUIRED',
      provider: 'b',
      acrValues: 'gold',
      maxAgeS: 300,
    })
    const told = ask(user({ acr: 'gold', agoS: 400 }), [{ acr: ['gold'] }, { maxAgeS: 300 }, { maxAgeS: 900 }], 'fetch')
    assert.equal(told?.kind === 'refuse' && told.code, 'STEP_UP_REQUIRED')
    assert.match(
      (told?.kind === 'refuse' && told.wwwAuthenticate) || '',
      /^Bearer error="insufficient_user_authentication".*acr_values="gold", max_age="300"$/,
    )
  })

  test('a sign-in that meets both passes, up to the very second', () => {
    assert.equal(ask(user({ acr: 'gold', agoS: 300 }), [{ acr: ['gold'] }, { maxAgeS: 300 }]), undefined)
    assert.notEqual(ask(user({ acr: 'gold', agoS: 301 }), [{ acr: ['gold'] }, { maxAgeS: 300 }]), undefined)
  })

  test('a sign-in whose time nobody told meets no max_age', () => {
    assert.notEqual(ask(user({}), [{ maxAgeS: 86_400 }]), undefined)
    assert.equal(ask(user({}), [{}]), undefined)
  })

  test('a machine passes where its own claims say so, and is forbidden else: it cannot sign in again', () => {
    const rules = [{ acr: ['gold'], maxAgeS: 300 }]
    const fresh = NOW / 1000 - 10
    assert.equal(ask(machine({ acr: 'gold', auth_time: fresh }), rules), undefined)
    for (const claims of [
      {},
      { acr: 'gold' },
      { auth_time: fresh },
      { acr: 'silver', auth_time: fresh },
      { acr: 'gold', auth_time: fresh - 600 },
      { acr: ['gold'], auth_time: String(fresh) },
    ]) {
      const decided = ask(machine(claims), rules)
      assert.equal(decided?.kind === 'refuse' && decided.code, 'FORBIDDEN', JSON.stringify(claims))
    }
  })
})

describe('how old a sign-in is', () => {
  const at = (agoS: number, clockS = 0): Claims => ({ iat: NOW / 1000 + clockS, auth_time: NOW / 1000 + clockS - agoS })

  test('is told by the provider’s own clock, however far that is from ours', () => {
    for (const clockS of [-3600, 0, 3600]) assert.equal(signedInAt(at(20, clockS), NOW), NOW - 20_000)
    assert.equal(isTooOld(at(20, -3600), 30), false)
    assert.equal(isTooOld(at(120, 3600), 30), true)
  })

  test('an answer that took its time on the way still counts for a moment, so that nothing goes round in circles', () => {
    assert.equal(isTooOld(at(60), 30), false)
    const counted = signedInAt(at(60), NOW, 30) ?? 0
    assert.ok(NOW - counted < 30_000)
    // And a fresh one is as fresh as it is.
    assert.equal(signedInAt(at(2), NOW, 30), NOW - 2000)
  })

  test('is not known without auth_time, and a time to come is now', () => {
    assert.equal(signedInAt({ iat: NOW / 1000 }, NOW), undefined)
    assert.equal(isTooOld({ iat: NOW / 1000 }, 86_400), true)
    assert.equal(signedInAt({ iat: 10, auth_time: 1000 }, NOW), NOW)
  })
})
