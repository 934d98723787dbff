import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkConfig } from '../../commands/check.ts'
import { inDir, minimum } from './dir.ts'

function run(
  files: Parameters<typeof inDir>[0],
  traefik: readonly string[] = [],
): { code: number; out: string; dir: string } {
  return inDir(files, (dir) => {
    const out: string[] = []
    const code = checkConfig(
      dir,
      {},
      (text) => out.push(text),
      traefik.map((name) => join(dir, name)),
    )
    return { code, out: out.join('\n'), dir }
  })
}

test('check says how many and exits 0 where there is no fault', () => {
  const { code, out } = run({ settings: minimum(), routes: 'routes: []' })
  assert.equal(code, 0)
  assert.equal(out, '0 faults, 0 warnings')
})

test('check prints file, line, code and message of each fault, how to mend it, and exits 1', () => {
  const { code, out, dir } = run({
    settings: minimum({ session: 'session:\n  secret: short\n' }),
    routes: 'routes: []',
  })
  assert.equal(code, 1)
  assert.equal(
    out,
    `${join(dir, 'settings.yaml')}:4: SECRET_TOO_SHORT a session secret is shorter than 32 bytes\n  mend: Make one with: openssl rand -base64 48\n1 fault, 0 warnings`,
  )
})

test('a warning says that it is one and does not make check fail', () => {
  const { code, out } = run({ settings: minimum(), routes: 'routes: [{ id: a, path: /a, target_service: x }]' })
  assert.equal(code, 0)
  assert.match(out, /routes\.yaml:1: warning AUDIENCE_MISSING `x` has no audience/)
  assert.match(out, /0 faults, 1 warning$/)
})

test('check exits 2 where there is nothing to read', () => {
  const { code, out } = run({})
  assert.equal(code, 2)
  assert.match(out, /settings\.yaml:1: FILE_MISSING/)
})

test('a fault in one of Traefik’s files counts as one of ours, and a file that is not there is exit 2', () => {
  const files = { settings: minimum(), routes: 'routes: []' }
  const [bad, gone] = ['traefik.yaml', 'gone.yaml']
  const one = run({ ...files, more: { [bad]: 'entryPoints:\n  web:\n    forwardedHeaders: { insecure: true }\n' } }, [
    bad,
  ])
  assert.equal(one.code, 1)
  assert.match(one.out, /traefik\.yaml:3: TRAEFIK_TRUSTS_ANYBODY entryPoints\.web\.forwardedHeaders\.insecure: /)
  assert.match(one.out, /1 fault, 1 warning$/)
  const none = run(files, [gone])
  assert.deepEqual([none.code, none.out.includes('gone.yaml:1: FILE_UNREADABLE')], [2, true])
})
