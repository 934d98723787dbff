import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { aliasRegex, authResponseHeaders, compileOurHeaders } from '../../middleware/identity/header-names.ts'

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
    assert.equal(typeof forwardAuth['maxResponseBodySize'], 'number')
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

test('no router leads to verify: the one for our endpoints leaves it out, and another catches it first', () => {
  const { bff, 'bff-verify-is-not-public': guard } = dynamic.http.routers
  assert.match(bff?.rule ?? '', /!PathRegexp/)
  assert.equal(guard?.service, 'noop@internal')
})
