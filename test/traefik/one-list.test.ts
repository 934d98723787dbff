import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'yaml'
import {
  aliasRegex,
  authResponseHeaders,
  compileOurHeaders,
  foldHeaderName,
  identityHeaderNames,
} from '../../middleware/identity/header-names.ts'

interface Dynamic {
  readonly http: {
    readonly middlewares: Record<string, { readonly forwardAuth: Record<string, unknown> }>
    readonly routers: Record<
      string,
      { readonly rule: string; readonly middlewares?: readonly string[]; readonly service: string }
    >
  }
}
const dynamic = parse(readFileSync(join(import.meta.dirname, '..', '..', 'traefik', 'dynamic.yaml'), 'utf8')) as Dynamic
const settings = {
  identity: {
    preset: 'bff',
    map: {},
    user: 'sub',
    groupsClaim: 'groups',
    assertion: { enabled: false, ttlMs: 60_000, claims: [] },
  },
} as const

for (const [name, { forwardAuth }] of Object.entries(dynamic.http.middlewares)) {
  test(`the header list and the alias regex of ${name} are the code's own`, () => {
    assert.deepEqual(forwardAuth['authResponseHeaders'], authResponseHeaders(settings))
    assert.equal(forwardAuth['authResponseHeadersRegex'], aliasRegex(settings))
  })

  test(`${name} trusts no forwarded header of a client and takes no large answer`, () => {
    assert.equal(forwardAuth['trustForwardHeader'], false)
    assert.equal(forwardAuth['maxResponseBodySize'], 16_384)
    assert.match(String(forwardAuth['address']), /^http:\/\/127\.0\.0\.1:4181\/auth\/verify(?:\?service=\w+)?$/)
  })
}

test('every alias of a header of ours is one to the code, in any case and with any separator', () => {
  const { isOurs, isAlias } = compileOurHeaders(settings)
  for (const name of authResponseHeaders(settings).slice(2)) {
    assert.ok(isOurs(name) && !isAlias(name))
    for (const separator of ['_', '.', '~']) assert.ok(isAlias(name.replaceAll('-', separator).toUpperCase()))
  }
  assert.ok(!isOurs('X-Unrelated') && !isOurs('Authorization'))
})

describe('the alias regex', () => {
  // Header names (RFC 9110 §5.1), out of few words, so that many begin alike.
  const word = fc.constantFrom('x', 'user', 'id', 'auth', 'request', 'use', 'u', '')
  const separator = fc.constantFrom('-', '_', '.', '~', '--')
  const name = fc
    .array(fc.tuple(word, separator), { minLength: 1, maxLength: 5 })
    .map((parts) => parts.map(([w, s], i) => (i === 0 ? w : s + w)).join(''))
    .filter((n) => n !== '')

  test('has every spelling of every name, and nothing else, whatever names the operator adds', () => {
    fc.assert(
      fc.property(fc.array(name, { maxLength: 8 }), name, fc.boolean(), (added, asked, upper) => {
        const own = { identity: { map: Object.fromEntries(added.map((n) => [n, 'claim'])) } }
        const names = identityHeaderNames(own)
        const regex = new RegExp(aliasRegex(own).replace('(?i)', ''), 'i')
        const ours = new Set(names.map(foldHeaderName))
        for (const n of [asked, ...names, ...names.map((x) => x.replaceAll('-', '~')), ...names.map((x) => `${x}-x`)])
          assert.equal(regex.test(upper ? n.toUpperCase() : n), ours.has(foldHeaderName(n)), n)
      }),
    )
  })

  test('is of the syntax that Go and JavaScript share: groups, sets and ends alone', () => {
    assert.match(aliasRegex(settings), /^\(\?i\)\^\(\?:(?:[a-z0-9]+|\[\^a-z0-9\]|\(\?:|\||\)\??)+\)\$$/)
  })
})

test('no router leads to verify: the one for our endpoints leaves it out, and another catches it first', () => {
  const { bff, 'bff-verify-is-not-public': guard } = dynamic.http.routers
  assert.match(bff?.rule ?? '', /!PathRegexp/)
  assert.equal(guard?.service, 'noop@internal')
})
