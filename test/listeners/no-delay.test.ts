import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { certs } from '../../commands/certs.ts'
import { createHttpDoor } from '../../listeners/door.ts'
import { createTraffic } from '../../listeners/traffic.ts'
import { createVerifyDoor } from '../../listeners/verify-door.ts'
import { systemClock as clock } from '../../middleware/clock.ts'

test('no listener holds an answer back until the one before it is acknowledged (TCP_NODELAY)', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'bff-no-delay-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const quiet = (): void => undefined
  assert.equal(certs(dir, { out: dir, hosts: [], force: false }, quiet, quiet), 0)
  const traffic = createTraffic(clock)
  const tls = { cert: join(dir, 'bff.pem'), key: join(dir, 'bff.key') }
  const verify = createVerifyDoor({
    tls,
    sessionAgeMs: 1000,
    current: () => assert.fail('nobody asks'),
    clock,
    traffic,
    emit: quiet,
    jitter: () => 0.5,
  })
  const plain = createHttpDoor({}, quiet, { clock, traffic: undefined })
  const fast = createHttpDoor({}, quiet, { clock, traffic: undefined, fastPath: () => undefined })
  const doors = { verify, plain, fast }
  // What node:net calls the option that it gives each connection.
  for (const [name, { server }] of Object.entries(doors))
    assert.equal((server as unknown as { noDelay: unknown }).noDelay, true, name)
  verify.close()
})
