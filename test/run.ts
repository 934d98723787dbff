/**
 * `npm test`: every test, in a bounded number of processes. Servers that the tests need are fetched once, before, so that
 * two test files do not race for them; what cannot be had stops the run with the reason, and nothing is skipped silently.
 */
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { findChromium, findRedis, findTraefik } from '../demo/launcher/index.ts'

const only = process.argv.slice(2)
for (const [what, find] of [
  ['Traefik', findTraefik],
  ['Redis or Valkey', findRedis],
  ['Chromium', findChromium],
] as const) {
  try {
    await find()
  } catch (e) {
    console.error(`The tests need ${what}: ${e instanceof Error ? e.message : String(e)}`)
    process.exit(1)
  }
}
const concurrency = Math.max(2, Math.min(4, availableParallelism()))
const files = only.length > 0 ? only : ['test/**/*.test.ts']
const child = spawn(
  process.execPath,
  [
    '--import',
    join(import.meta.dirname, 'limits.ts'),
    '--test',
    `--test-concurrency=${concurrency}`,
    '--test-reporter=spec',
    ...files,
  ],
  { stdio: 'inherit' },
)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
child.on('exit', (code) => process.exit(code ?? 1))
