import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '..', '..')
const page = readFileSync(join(ROOT, 'docs', 'threat-model.md'), 'utf8')
const named = new Set([...page.matchAll(/`(test\/[\w./-]+)`/g)].map((m) => m[1] ?? ''))

test('every test that the threat model names is there', () => {
  assert.ok(named.size > 15)
  assert.deepEqual(
    [...named].filter((path) => !existsSync(join(ROOT, path))),
    [],
  )
})

test('the threat model names every test of an advisory', () => {
  const there = readdirSync(join(ROOT, 'test', 'advisories')).map((name) => `test/advisories/${name}`)
  assert.deepEqual(
    there.filter((path) => path.endsWith('.test.ts') && !named.has(path)),
    [],
  )
})
