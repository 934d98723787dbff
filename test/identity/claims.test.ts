import assert from 'node:assert/strict'
import { validateHeaderValue } from 'node:http'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseClaimPath } from '../../config/values/claim-path.ts'
import { Refused } from '../../config/finding.ts'
import { claimAt, groupsOf, holdsClaim, textsOf } from '../../middleware/identity/claims.ts'
import { headerValue, joinList } from '../../middleware/identity/header-value.ts'

const CLAIMS = {
  department: { name: 'Logistics' },
  realm_access: { roles: ['admin', 'user'] },
  'cognito:groups': ['staff'],
  'https://app.example.com/roles': ['reader'],
  resource_access: { 'my.client': { roles: ['editor'] } },
  addresses: [{ city: 'Wien' }, { city: 'Graz' }],
  teams: [{ name: 'blue', tags: ['a', 'b'] }, { name: 'red' }, 'loose'],
  level: 3,
  employee: true,
}

for (const [path, wanted] of [
  ['department.name', ['Logistics']],
  ['realm_access.roles', ['admin', 'user']],
  ['cognito:groups', ['staff']],
  ['https://app.example.com/roles', ['reader']],
  ['resource_access.my\\.client.roles', ['editor']],
  ['addresses.1.city', ['Graz']],
  ['teams.name', ['blue', 'red']],
  ['teams.tags', ['a', 'b']],
  ['level', ['3']],
  ['employee', ['true']],
  ['department', []],
  ['department.none', []],
  ['constructor.name', []],
  ['addresses.length', []],
] as const) {
  test(`the path ${path} finds ${wanted.length === 0 ? 'nothing that a header could say' : wanted.join(', ')}`, () => {
    assert.ok(!(parseClaimPath(path) instanceof Refused))
    assert.deepEqual(textsOf(claimAt(CLAIMS, path)), wanted)
  })
}

test('paths with an empty key are refused', () => {
  for (const path of ['a..b', '.a', 'a.']) assert.ok(parseClaimPath(path) instanceof Refused, path)
  assert.ok(!(parseClaimPath('a\\.') instanceof Refused))
})

test('groups come from where groups_claim says, and a rule on a list of objects sees its members', () => {
  assert.deepEqual(groupsOf(CLAIMS, 'realm_access.roles'), ['admin', 'user'])
  assert.ok(holdsClaim(CLAIMS, 'teams.name', 'red'))
  assert.ok(!holdsClaim(CLAIMS, 'level', '3'))
})

const anything = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.array(fc.integer({ min: 0, max: 0x1_00ff }), { maxLength: 20 }).map((c) => String.fromCharCode(...c)),
)

test('no claim can break a header: what is said is what Node writes, in one line, and reads back as the claim', () => {
  fc.assert(
    fc.property(anything, (text) => {
      const value = headerValue(text)
      if (value === undefined) return
      validateHeaderValue('X-User-Name', value)
      assert.ok(!/[\r\n\0]/.test(value))
      assert.equal(Buffer.from(value, 'latin1').toString('utf8'), text)
    }),
    { numRuns: 2000 },
  )
})

test('no group can become two, or another: what is joined splits into groups that were there', () => {
  fc.assert(
    fc.property(fc.array(anything, { maxLength: 30 }), (groups) => {
      const dropped: string[] = []
      const joined = joinList(groups, (g) => dropped.push(...g))
      if (joined === undefined) return
      validateHeaderValue('X-User-Groups', joined)
      const names = new Set(groups)
      for (const member of Buffer.from(joined, 'latin1').toString('utf8').split(',')) assert.ok(names.has(member))
    }),
    { numRuns: 1000 },
  )
})
