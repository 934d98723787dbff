import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PublicUrl } from '../../config/types.ts'
import { parsePublicUrl } from '../../config/values/url.ts'
import { compileOrigins } from '../../middleware/decide/origins.ts'

function origins(...urls: string[]): ReturnType<typeof compileOrigins> {
  return compileOrigins(urls.map((u) => parsePublicUrl(u) as PublicUrl))
}

test('a star takes exactly one label, and case, port, a trailing dot or odd bytes make another host (CVE-2026-48794, -48710)', () => {
  const { originOf } = origins(
    'https://*.apps.example.com',
    'https://app.example.com',
    'https://*.dev.example.com:8443',
  )
  const origin = (host: string): string | undefined => originOf(host)?.origin
  assert.equal(origin('one.apps.example.com'), 'https://one.apps.example.com')
  assert.equal(origin('one.apps.example.com:443'), 'https://one.apps.example.com')
  assert.equal(originOf('one.dev.example.com:8443')?.hostname, 'one.dev.example.com')
  assert.equal(origin('one.dev.example.com:8443'), 'https://one.dev.example.com:8443')
  assert.equal(origin('app.example.com'), 'https://app.example.com')
  for (const host of [
    'apps.example.com',
    '.apps.example.com',
    'a.b.apps.example.com',
    '*.apps.example.com',
    'ONE.apps.example.com',
    'one.apps.example.com.',
    'one.apps.example.com:80',
    'one.apps.example.com:evil',
    'one.dev.example.com',
    'one.dev.example.com:443',
    'evil/one.apps.example.com',
    '-a.apps.example.com',
    'evilapps.example.com',
    'one.apps.example.com/abc?bar=',
    '',
  ])
    assert.equal(origin(host), undefined, host)
})

test('an Origin header counts with the scheme of the very host, and a look-alike of any spelling is refused at verify', () => {
  const { isOurOrigin, looksPublic } = origins('https://*.apps.example.com', 'https://app.example.com')
  assert.ok(isOurOrigin('https://x.apps.example.com'))
  for (const o of ['http://x.apps.example.com', 'https://x.y.apps.example.com', 'null', 'https://apps.example.com'])
    assert.ok(!isOurOrigin(o), o)
  for (const h of ['APP.example.com.', 'app.example.com:evil', 'X.Apps.Example.com', 'a.b.apps.example.com:81'])
    assert.ok(looksPublic(h), h)
  for (const h of ['bff:4181', '127.0.0.1:4181', 'example.com', 'evilapp.example.com']) assert.ok(!looksPublic(h), h)
})

test('looking up a host reads no list: with 4,000 hosts and 400 wildcards no look-up touches more entries than with one', () => {
  const many = [
    ...Array.from({ length: 4000 }, (_, i) => `https://h${i}.example.com`),
    ...Array.from({ length: 400 }, (_, i) => `https://*.w${i}.example.com`),
  ].map((u) => parsePublicUrl(u) as PublicUrl)
  let reads = 0
  const counted = many.map(
    (u) =>
      new Proxy(u, {
        get: (target, key) => {
          reads += 1
          return Reflect.get(target, key) as unknown
        },
      }),
  )
  const { originOf, looksPublic, isOurOrigin } = compileOrigins(counted)
  reads = 0
  assert.ok(originOf('h3999.example.com') && originOf('x.w399.example.com') && !originOf('nobody.example.org'))
  assert.ok(isOurOrigin('https://x.w399.example.com') && looksPublic('x.w399.example.com') && !looksPublic('bff:4181'))
  assert.ok(reads < 20, `${reads} properties read`)
})
