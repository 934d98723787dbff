import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { keysOf } from '../../config/schema/reference.ts'
import { load, minimum } from './dir.ts'

/** Whatever it is, it is either taken, or refused with a place, a code and a message. */
function holds(settings: string, routes: string): void {
  const got = load({ settings, routes, env: { A: 'a', HOME: '/x' } })
  const lines = { 'settings.yaml': settings.split('\n').length, 'routes.yaml': routes.split('\n').length }
  if (!got.ok) assert.ok(got.faults.length > 0)
  for (const f of [...(got.ok ? [] : got.faults), ...got.warnings]) {
    assert.match(f.code, /^[A-Z]+(?:_[A-Z0-9]+)*$/)
    assert.notEqual(f.message, '')
    assert.ok(f.line >= 1 && f.line <= lines[f.file as keyof typeof lines], `${f.file}:${f.line} ${f.code}`)
  }
}

const YAML_PIECES = [
  'server:',
  'auth:',
  'routes:',
  '- ',
  '  ',
  '\n',
  '{',
  '}',
  '[',
  ']',
  ': ',
  ',',
  '&a ',
  '*a',
  '!!map ',
  '? ',
  '|',
  '>',
  "'",
  '"',
  '#',
  '---',
  '${A}',
  '${B}',
  '${',
  '\t',
  'null',
  '~',
  '0x1',
  '<<: ',
  '__proto__: ',
  '%YAML 1.2',
  '\u0000',
  '\u2028',
]

test('no text makes the loader throw', () => {
  const text = fc
    .array(fc.oneof(fc.constantFrom(...YAML_PIECES), fc.string({ maxLength: 4, unit: 'binary' })))
    .map((p) => p.join(''))
  fc.assert(
    fc.property(text, text, (a, b) => holds(a, b)),
    { numRuns: 300 },
  )
})

test('no structure under the known keys makes the loader throw', () => {
  const value = fc.jsonValue({ maxDepth: 3 })
  const name = (key: string): string[] => key.replaceAll('<name>', 'a').replaceAll('[]', '.0').split('.')
  const place = (keys: readonly { key: string }[]) =>
    fc.array(fc.tuple(fc.constantFrom(...keys.map((k) => k.key)), value), { maxLength: 12 }).map((pairs) => {
      const root: Record<string, unknown> = {}
      for (const [key, v] of pairs) put(root, name(key), v)
      return stringify(root)
    })
  fc.assert(
    fc.property(place(keysOf('settings')), place(keysOf('routes')), (a, b) => holds(a, b)),
    { numRuns: 300 },
  )
})

test('no value of one known key in an otherwise good config makes the loader throw', () => {
  const words = fc.constantFrom(
    '',
    '/',
    '*',
    '/*',
    '//',
    '..',
    'https://',
    'https://*',
    'http://[',
    'https://a@b',
    '::/0',
    '1/1',
    '0s',
    '999999999d',
    '-1',
    'openid',
    '-----BEGIN',
    'tls',
    'tls/bff.pem',
    '%',
    'redis://',
    'constructor',
  )
  const keys = keysOf('routes')
    .filter((k) => k.key.startsWith('routes[].'))
    .map((k) => k.key.slice('routes[].'.length).split('.')[0] ?? '')
  const pair = fc.tuple(fc.constantFrom(...keys), fc.oneof(words, fc.array(words), fc.integer()))
  fc.assert(
    fc.property(
      fc.array(fc.array(pair, { maxLength: 5 }), { maxLength: 4 }),
      fc.array(fc.tuple(words, words)),
      (routes, services) => {
        holds(
          `${minimum()}service_tokens: ${JSON.stringify(Object.fromEntries(services.map(([n, a]) => [n, { audience: a, client: a }])))}\n`,
          stringify({
            routes: routes.map((r) => Object.fromEntries(r)),
            services: Object.fromEntries(services.map(([n, u]) => [n, { base_url: u }])),
          }),
        )
      },
    ),
    { numRuns: 300 },
  )
})

function put(into: Record<string, unknown>, [head = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) into[head] = value
  else {
    const next = into[head]
    const list = rest[0] === '0'
    const inner: Record<string, unknown> =
      typeof next === 'object' && next !== null
        ? (next as Record<string, unknown>)
        : list
          ? ([] as unknown as Record<string, unknown>)
          : {}
    into[head] = inner
    put(inner, rest, value)
  }
}
