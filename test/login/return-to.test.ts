import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileOrigins } from '../../middleware/decide/origins.ts'
import { parseReturnTo } from '../../middleware/login/return-to.ts'

const origins = compileOrigins([
  { protocol: 'https:', hostname: 'app.example.com', port: '', wildcard: false },
  { protocol: 'https:', hostname: '*.apps.example.com', port: '', wildcard: true },
])
const now = { ...origins, settings: { server: { basePath: '/auth' } } } as unknown as Parameters<
  typeof parseReturnTo
>[2]
const parse = (asked: string): string => parseReturnTo(asked, 'https://app.example.com', now)

const HOME = 'https://app.example.com/'
const ATTACKS: readonly (readonly [string, string])[] = [
  ['/\\evil.com', 'GHSA-qqxw'],
  ['/\t/google.com', 'GHSA-qqxw'],
  ['/%09/google.com', 'GHSA-j7px'],
  ['//evil.com', 'protocol relative'],
  ['http:example.com@1.2.3.4', 'GHSA-5m6c'],
  ['/./\\evil.com', 'GHSA-5m6c'],
  ['/.//evil.com', 'dot segment before a double slash'],
  ['https://evilexample.com', 'suffix without a dot, GHSA-4mf2'],
  ['https://app.example.com.evil.com/', 'allowed host as prefix'],
  ['https://evil/?https://app.example.com', 'allowed host as substring'],
  ['https://appxexample.com/', 'unescaped regex dot, CVE-2024-52289'],
  ['https://app.example.com@evil.com/', 'userinfo'],
  ['https://user@app.example.com/', 'userinfo on our host'],
  ['javascript:alert(1)', 'scheme'],
  ['data:text/html,x', 'scheme'],
  ['http://app.example.com/', 'downgrade to http'],
  ['https://a.b.apps.example.com/', 'two labels under a wildcard'],
  ['https://app.example.com:444/', 'foreign port'],
]

for (const [asked, why] of ATTACKS) {
  test(`return_to ${JSON.stringify(asked)} stays on this site (${why})`, () => {
    assert.equal(new URL(parse(asked)).origin, 'https://app.example.com')
  })
}

test('a relative path, and an absolute one on a public URL, are kept', () => {
  assert.equal(parse('/a/b?c=1#d'), 'https://app.example.com/a/b?c=1#d')
  assert.equal(parse('https://one.apps.example.com/x'), 'https://one.apps.example.com/x')
})

test('a return_to into our own endpoints becomes the start page', () => {
  for (const asked of [
    '/auth/logout',
    '/auth',
    '/auth/',
    '/%61uth/login',
    '/AUTH/login',
    '//auth/login',
    '/x/../auth/logout',
  ])
    assert.equal(parse(asked), HOME)
})

test('no string leads a browser off the site', () => {
  const nasty = fc.stringMatching(/^[/\\.:@?#%a-z0-9\t\r\n ;&=-]{0,40}$/)
  const parts = fc
    .array(
      fc.constantFrom(
        '/',
        '//',
        '\\',
        '.',
        '..',
        ':',
        '@',
        'https:',
        'http:',
        'evil.com',
        'app.example.com',
        '%09',
        '\t',
        '%2f',
        '%5c',
        '?',
        '#',
        ' ',
        '。',
        '\u0000',
        'ａ',
      ),
      { maxLength: 10 },
    )
    .map((p) => p.join(''))
  fc.assert(
    fc.property(fc.oneof(nasty, parts, fc.string(), fc.webUrl()), (asked) => {
      const sent = parse(asked)
      // As a browser would follow a Location of the callback.
      const followed = new URL(sent, 'https://app.example.com/auth/callback')
      assert.ok(origins.isOurOrigin(followed.origin), `${JSON.stringify(asked)} -> ${sent}`)
      assert.equal(followed.username, '')
    }),
    { numRuns: 5000 },
  )
})
