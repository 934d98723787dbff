import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BoundedMap } from '../../middleware/bounded-map.ts'

type Step = ['set' | 'delete', number] | ['drop'] | ['clear']

const step = fc.oneof(
  { weight: 12, arbitrary: fc.tuple(fc.constant('set' as const), fc.nat(30)) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('delete' as const), fc.nat(30)) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('drop' as const)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('clear' as const)) },
)

/** The same, the slow and plain way: a list, oldest first. */
function plainly(most: number, steps: readonly Step[]): number[] {
  let kept: number[] = []
  for (const [what, key] of steps) {
    if (what === 'clear') kept = []
    else if (what === 'drop') kept.shift()
    else {
      kept = kept.filter((k) => k !== key)
      if (what === 'set') kept = [...kept, key].slice(-most)
    }
  }
  return kept
}

test('a bounded map keeps what was set last, whatever is set, deleted, dropped and cleared in between', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 200 }), (most, steps) => {
      const map = new BoundedMap<number, string>(most)
      for (const [what, key] of steps as Step[]) {
        if (what === 'set') map.set(key, String(key))
        else if (what === 'delete') map.delete(key)
        else if (what === 'drop') map.dropOldest()
        else map.clear()
      }
      assert.deepEqual([...map.keys()], plainly(most, steps as Step[]))
      for (const [k, v] of map) assert.equal(v, String(k))
    }),
  )
})

test('it stays so over many more entries than it holds', () => {
  const map = new BoundedMap<number, number>(1000)
  for (let i = 0; i < 50_000; i++) {
    map.set(i, i)
    if (i % 7 === 0) map.delete(i - 3)
  }
  assert.equal(map.size, 1000)
  const keys = [...map.keys()]
  assert.deepEqual(
    keys,
    keys.toSorted((a, b) => a - b),
  )
  assert.equal(keys.at(-1), 49_999)
})
