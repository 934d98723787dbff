import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseTarget } from '../../middleware/mouths/target.ts'

const TAKEN = [
  '/',
  '/a',
  '/a/',
  '/a/b.c/d',
  '/.well-known/x',
  '/a%20b',
  '/%C3%A4',
  '/a:b@c',
  "/it's(1)",
  '/x?a=1&b=%zz',
  '/x??',
  '/a~b',
]
const REFUSED = [
  '',
  'a',
  'http://evil/admin',
  '//admin',
  '/x//y',
  '/x/../admin',
  '/x/./y',
  '/..',
  '/x/..',
  '/public/%2e%2e/admin',
  '/%61dmin',
  '/x/%5cadmin',
  '/x\\..\\admin',
  '/admin%00',
  '/a%0d%0ab',
  '/x%zz',
  '/x%2',
  '/x#y',
  '/x?a#b',
  '/x y',
  '/x?a b',
  '/ä',
  '/public/..;/admin',
  '/public/..%2fadmin',
  '/a%7eb',
]

for (const target of TAKEN) {
  test(`the target ${target} is canonical and taken as it is`, () => {
    const parsed = parseTarget(target)
    assert.ok(parsed)
    assert.equal(parsed.query === '' && !target.includes('?') ? parsed.path : `${parsed.path}?${parsed.query}`, target)
    assert.deepEqual(parsed.encoded, [])
  })
}

for (const target of REFUSED) {
  test(`the target ${JSON.stringify(target)} is refused, not cleaned`, () => {
    assert.equal(parseTarget(target), undefined)
  })
}

test('an encoded slash, percent sign or semicolon is told apart, for the route to take or refuse', () => {
  assert.deepEqual(parseTarget('/a%2Fb')?.encoded, ['slash'])
  assert.deepEqual(parseTarget('/a%25b')?.encoded, ['percent'])
  assert.deepEqual(parseTarget('/a;b')?.encoded, ['semicolon'])
  assert.deepEqual(parseTarget('/a%3Bb')?.encoded, ['semicolon'])
})

test('whatever comes, a taken path names the same resource to a parser that removes dot segments', () => {
  const piece = fc.constantFrom(
    'a',
    'admin',
    '.',
    '..',
    '/',
    '//',
    '%2e',
    '%2F',
    '%5C',
    '\\',
    ';',
    '%00',
    '?',
    '#',
    '%61',
    '~',
    '%C3%A4',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const parsed = parseTarget(`/${pieces.join('')}`)
      if (parsed === undefined) return
      assert.equal(new URL(`http://h${parsed.path}`).pathname, parsed.path)
      assert.ok(!parsed.path.includes('//'))
    }),
    { numRuns: 3000 },
  )
})
