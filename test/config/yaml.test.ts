import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faults, load, minimum } from './dir.ts'

test('a key that stands twice is a fault at the second one', () => {
  assert.deepEqual(faults({ settings: `${minimum()}log:\n  level: info\n  level: warn\n` }), [
    'settings.yaml:6 DUPLICATE_KEY',
  ])
})

test('broken YAML is a fault with its line, and the other file is still read', () => {
  const got = faults({
    settings: `${minimum()}log: { level: info\nserver:\n`,
    routes: 'routes:\n  - id: a\n    path: nowhere\n',
  })
  assert.ok(
    got.every((f) => /^settings\.yaml:[45] YAML_SYNTAX$|^routes\.yaml:3 BAD_PATH$/.test(f)),
    got.join(),
  )
  assert.ok(got.includes('routes.yaml:3 BAD_PATH'))
  assert.ok(got.length > 1)
})

test('R3 a syntax fault does not quote the line, which may hold a secret', () => {
  const got = load({ settings: `${minimum()}clients: { a: { client_secret: hunter2 "x } }\n  ]\n!!hunter2 x\n` })
  assert.equal(got.ok, false)
  assert.ok(!JSON.stringify(got).includes('hunter2'))
})

test('aliases work, and those that multiply are refused', () => {
  const shared =
    'routes:\n  - { id: a, path: /a, require: &staff { groups: staff } }\n  - { id: b, path: /b, require: *staff }\n'
  assert.deepEqual(faults({ routes: shared }), [])
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'.split('').map((c, i) => `${c}: &${c} [${`*${'abcdefg'[i] ?? ''},`.repeat(10)}]`),
  ]
  assert.deepEqual(
    faults({ routes: `${bomb.join('\n')}\n` }).map((f) => f.split(' ')[1]),
    ['YAML_TOO_LARGE'],
  )
  assert.deepEqual(
    faults({ routes: 'routes: &r [*r]\n' }).map((f) => f.split(' ')[1]),
    ['YAML_TOO_LARGE'],
  )
})

test('thousands of routes are not too many', () => {
  const routes = Array.from({ length: 3000 }, (_, i) => `  - { id: r${i}, path: /r/${i}/*, methods: [GET, POST] }\n`)
  assert.deepEqual(faults({ routes: `routes:\n${routes.join('')}` }), [])
})

test('what is nested too deeply, too large, tagged, or a second document is a fault, never a stack trace', () => {
  assert.match(faults({ routes: '['.repeat(50_000) }).join(), /YAML_/)
  assert.match(faults({ routes: `routes: ${'['.repeat(500)}${']'.repeat(500)}` }).join(), /YAML_TOO_LARGE/)
  assert.match(faults({ routes: `# ${'x'.repeat(1024 * 1024)}` }).join(), /YAML_TOO_LARGE/)
  assert.match(faults({ routes: 'routes: !!js/function x' }).join(), /YAML_SYNTAX/)
  assert.match(faults({ routes: 'routes: []\n---\nroutes: []\n' }).join(), /routes.yaml:2 YAML_SYNTAX/)
  assert.match(faults({ routes: '? [a]\n: b\n' }).join(), /YAML_SYNTAX/)
  assert.match(faults({ routes: '\uE000' }).join(), /routes.yaml:1 YAML_SYNTAX/)
})

test('a file that is no map, and `__proto__`, are faults', () => {
  assert.match(faults({ routes: 'hello' }).join(), /routes.yaml:1 WRONG_TYPE/)
  assert.match(faults({ routes: '[]' }).join(), /routes.yaml:1 WRONG_TYPE/)
  assert.match(faults({ settings: `${minimum()}__proto__: { server: {} }\n` }).join(), /settings.yaml:4 UNKNOWN_KEY/)
})
