import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { formatFinding, loadConfig } from '../../config/load.ts'
import { composeDynamic } from '../../demo/compose/write.ts'

const ROOT = join(import.meta.dirname, '..', '..')

interface Service {
  readonly ports?: readonly string[]
  readonly networks?: Record<string, { readonly ipv4_address: string }> | readonly string[]
  readonly network_mode?: string
  readonly read_only?: boolean
  readonly build?: { readonly target: string }
}
const compose = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8')) as {
  readonly services: Record<string, Service>
}
const address = (name: string): string => {
  const networks = compose.services[name]?.networks
  return networks !== undefined && 'edge' in networks ? networks.edge.ipv4_address : ''
}

test('the compose file publishes on loopback alone', () => {
  const published = Object.values(compose.services).flatMap((s) => s.ports ?? [])
  assert.deepEqual(
    published.filter((p) => !p.startsWith('127.0.0.1:')),
    [],
  )
  assert.equal(published.length, 2)
})

test('the service trusts the fixed address of Traefik and nobody else, and its config has no fault', () => {
  const loaded = loadConfig(join(ROOT, 'demo', 'compose'), {})
  assert.ok(loaded.ok, loaded.ok ? '' : loaded.faults.map(formatFinding).join('\n'))
  assert.deepEqual(loaded.settings.server.trustedProxies, [`${address('traefik')}/32`])
})

test("Traefik's config for containers is the checked-in one, at the address of the service", () => {
  const written = readFileSync(join(ROOT, 'demo', 'compose', 'dynamic.yaml'), 'utf8')
  assert.equal(written, composeDynamic())
  assert.ok(written.includes(`http://${address('bff')}:4181/auth/verify`))
})

test('localhost is one place for the service and the parts, and what runs our code has a read-only root', () => {
  assert.equal(compose.services['parts']?.network_mode, 'service:bff')
  for (const [name, s] of Object.entries(compose.services))
    if (s.build !== undefined) assert.equal(s.read_only, true, name)
})

test('the image copies every folder that the service imports from, runs as nobody special, and says when it is ill', () => {
  const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
  for (const folder of ['commands', 'config', 'listeners', 'middleware', 'proxy'])
    assert.match(dockerfile, new RegExp(`^COPY ${folder} \\./${folder}$`, 'm'))
  for (const file of ['cli.ts', 'app.ts', 'compose.ts'])
    assert.match(dockerfile, new RegExp(`^COPY .*\\b${file}\\b`, 'm'))
  assert.match(dockerfile, /^USER node$/m)
  assert.match(dockerfile, /^HEALTHCHECK /m)
})
