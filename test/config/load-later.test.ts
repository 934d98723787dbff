import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadLater } from '../../config/load-later.ts'

const require = createRequire(import.meta.url)

/** A library as TypeScript compiles it: its entry asks for its list, which names itself, as the Redis client's does. */
function inLibrary(run: (l: { entry: string; list: string; loads: () => number }) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'bff-later-'))
  const [entry, list] = [join(dir, 'entry.js'), join(dir, 'list.js')]
  writeFileSync(
    entry,
    `const mod = require('./list'); const list = mod.__esModule ? mod : { default: mod }
     exports.one = () => list.default.one; exports.names = () => Object.keys(list); exports.has = (n) => n in list`,
  )
  writeFileSync(
    list,
    `Object.defineProperty(exports, '__esModule', { value: true }); globalThis.listLoads = (globalThis.listLoads ?? 0) + 1
     exports.default = { one: 1 }; exports.rest = Object.keys(require('./list').default)`,
  )
  Reflect.deleteProperty(globalThis, 'listLoads')
  try {
    run({ entry, list, loads: () => (globalThis as { listLoads?: number }).listLoads ?? 0 })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

interface Entry {
  one: () => number
  names: () => string[]
  has: (name: string) => boolean
}

test('a file that is to be loaded later is loaded once, by the first who looks into it, and is the file itself from then on', () =>
  inLibrary(({ entry, list, loads }) => {
    loadLater(require, list)
    loadLater(require, list)
    const library = require(entry) as Entry
    assert.equal(loads(), 0)
    assert.equal(library.one(), 1)
    assert.deepEqual((require(list) as { rest: string[] }).rest, ['one'])
    assert.equal(library.one() + loads(), 2)
  }))

test('whoever counts what it exports, or asks whether it has something, finds what is there', () => {
  inLibrary(({ entry, list }) => {
    loadLater(require, list)
    assert.deepEqual((require(entry) as Entry).names().sort(), ['default', 'rest'])
  })
  inLibrary(({ entry, list }) => {
    loadLater(require, list)
    const { has } = require(entry) as Entry
    assert.deepEqual([has('rest'), has('more')], [true, false])
  })
})

test('one that is loaded already stays as it is', () =>
  inLibrary(({ entry, list, loads }) => {
    const before: unknown = require(list)
    loadLater(require, list)
    assert.equal((require(entry) as Entry).one(), 1)
    assert.equal(require(list), before)
    assert.equal(loads(), 1)
  }))
