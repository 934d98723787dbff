import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { editorSchemaOf } from '../../config/schema/json-schema.ts'
import { keysOf, withReference } from '../../config/schema/reference.ts'
import { faults, fixture } from './dir.ts'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const REFERENCE = read('docs/configuration.md')

test('the JSON Schemas that are checked in are those of the code (npm run schema)', () => {
  assert.deepEqual(JSON.parse(read('config/schema.json')), editorSchemaOf('settings'))
  assert.deepEqual(JSON.parse(read('config/schema-routes.json')), editorSchemaOf('routes'))
})

test('the reference is the one of the schema (npm run schema)', () => {
  assert.equal(REFERENCE, withReference(REFERENCE))
})

test('every key stands in the reference, and says what it does', () => {
  for (const { key, about } of [...keysOf('settings'), ...keysOf('routes')]) {
    assert.ok(REFERENCE.includes(`\`${key}\``) || REFERENCE.includes(`### ${key}\n`), key)
    assert.notEqual(about, '', key)
  }
})

test('the reference marks what a reload does not change', () => {
  const restart = keysOf('settings')
    .filter((k) => k.restart)
    .map((k) => k.key)
  assert.deepEqual(restart, [
    'server.listen',
    'server.verify_listen',
    'server.verify_session_age',
    'server.admin_listen',
    'session.secret',
    'session.store',
    'session.store_tls',
    'session.key_prefix',
    'session.state_dir',
    'session.cookie_name',
    'session.cookie_domain',
    'session.same_site',
    'session.stall_timeout',
  ])
})

test('the least that starts, as the reference shows it, starts', () => {
  const [settings = '', routes = ''] = [...REFERENCE.matchAll(/```yaml\n([^`]*)```/g)].map((m) => m[1] ?? '')
  const env = { BFF_CLIENT_SECRET: 's', BFF_SECRET: '0123456789abcdefghijklmnopqrstuv' }
  assert.deepEqual(faults({ settings, routes, env }), [])
})

test('every code that the reference names is one of the code', () => {
  const section = REFERENCE.slice(REFERENCE.indexOf('## What is refused'))
  const sources = [
    'check/auth',
    'check/clients',
    'check/routes',
    'check/server',
    'check/services',
    'check/session',
    'check/use',
    'values/net',
    'values/url',
  ]
    .map((f) => read(`config/${f}.ts`))
    .join('')
  for (const [, code = ''] of section.matchAll(/`([A-Z]+_[A-Z_]+)`/g))
    if (code !== 'NO_TOKEN_AVAILABLE') assert.ok(sources.includes(`'${code}'`), code)
})

test('every key that the contract’s example has is known to the JSON Schema', () => {
  const known = editorSchemaOf('settings').properties ?? {}
  // Only the first level: the loader's own test goes through all of them.
  const shown = Object.keys(parse(fixture('contract-settings.yaml').replaceAll(/\$\{\w+\}/g, 'x')) as object)
  assert.deepEqual(
    shown.filter((key) => !(key in known)),
    [],
  )
})
