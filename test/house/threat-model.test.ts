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

test('a test of an advisory says which: each row of an advisory names tests that name it', () => {
  const rows = page.split('\n').filter((line) => /^\|[^|]*\|[^|]*(?:CVE|GHSA)-/.test(line))
  assert.ok(rows.length > 60)
  for (const row of rows) {
    const [, , advisory = '', , here = ''] = row.split('|')
    const ids = advisory.match(/CVE-\d{4}-\d+|GHSA(?:-\w{4}){3}/g) ?? []
    assert.match(here, /`test\/|does not apply: |Traefik’s own/, row)
    if (here.includes('does not apply')) continue
    for (const [, path = ''] of here.matchAll(/`(test\/advisories\/[\w.-]+)`/g)) {
      const text = readFileSync(join(ROOT, path), 'utf8')
      assert.ok(
        ids.some((id) => text.includes(id)),
        `${path} names none of ${ids.join(', ')}`,
      )
    }
  }
})
