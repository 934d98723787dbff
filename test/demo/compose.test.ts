import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
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

const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')

/** What a stage of the Dockerfile copies out of the context, files and folders. */
function copied(stage: string): readonly string[] {
  const text = dockerfile.split(/^FROM /m).find((part) => part.split('\n')[0]?.endsWith(` AS ${stage}`)) ?? ''
  return [...text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((m) => (m[1] ?? '').split(' '))
}

/** Every file of ours that an entry leads to, by import and by dynamic import. */
function reached(entry: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(entry)) return seen
  seen.add(entry)
  if (!entry.endsWith('.ts')) return seen
  const text = readFileSync(join(ROOT, entry), 'utf8')
  for (const m of text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) reached(join(dirname(entry), m[1] ?? ''), seen)
  return seen
}

for (const [stage, entry, there] of [
  ['service', 'cli.ts', ['package.json']],
  ['demo', 'demo/parts.ts', ['package.json', 'package-lock.json']],
] as const)
  test(`the image of the ${stage} has every file that ${entry} leads to`, () => {
    const has = [...copied(stage), ...there]
    const missing = [...reached(entry)].filter((f) => !has.some((c) => f === c || f.startsWith(`${c}/`)))
    assert.deepEqual(missing, [])
  })

test('the image runs as nobody special, and says when it is ill', () => {
  assert.match(dockerfile, /^USER node$/m)
  assert.match(dockerfile, /^HEALTHCHECK /m)
})
