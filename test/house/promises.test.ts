import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const TESTS = join(import.meta.dirname, '..')

/** What the seed documents ask for, and what a test must name to prove it. */
const PROMISES = Array.from({ length: 23 }, (_, i) => `R${i + 1}`)

/** Promises whose behaviour is not built yet: each is listed as open in the README, and leaves this list with its test. */
const OPEN: ReadonlySet<string> = new Set()

function testNames(): string[] {
  const found: string[] = []
  const walk = (dir: string): void => {
    for (const e of readdirSync(dir, { withFileTypes: true })) {
      if (e.isDirectory()) walk(join(dir, e.name))
      else if (e.name.endsWith('.test.ts')) {
        const text = readFileSync(join(dir, e.name), 'utf8')
        for (const m of text.matchAll(/\b(?:test|it|describe)\(\s*[`'"]([^`'"]+)/g)) found.push(m[1] ?? '')
      }
    }
  }
  walk(TESTS)
  return found
}

test('every promise of the seed documents is named by a test, or listed as open', () => {
  const names = testNames()
  const proven = new Set(PROMISES.filter((r) => names.some((n) => new RegExp(`^(?:R\\d+ )*${r}\\b`).test(n))))
  assert.deepEqual(
    PROMISES.filter((r) => !proven.has(r) && !OPEN.has(r)),
    [],
    'promises without a test',
  )
  assert.deepEqual(
    [...OPEN].filter((r) => proven.has(r)),
    [],
    'promises that are proven now: take them off the list',
  )
})
