import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadConfig } from '../../config/load.ts'
import { faults, inDir, load, loaded, minimum } from './dir.ts'

const named = (client: string): string =>
  minimum({ auth: `auth:\n  issuer: https://idp.example.com\n  client_id: ${client}\n` })
const clientId = (client: string, env: NodeJS.ProcessEnv): unknown =>
  loaded({ settings: named(client), env }).providers.get('default')?.client.clientId

test('a reference is filled in, plain, quoted and amid other text', () => {
  assert.equal(clientId('${ID}', { ID: 'x' }), 'x')
  assert.equal(clientId('"${ID}"', { ID: 'x' }), 'x')
  assert.equal(clientId('a-${ID}-${ID}', { ID: 'x' }), 'a-x-x')
})

test('a default stands in for what is unset or empty, and may hold what YAML would trip over', () => {
  assert.equal(clientId('${ID:-it: is #1, [ok]}', {}), 'it: is #1, [ok]')
  assert.equal(clientId('${ID:-d}', { ID: '' }), 'd')
  assert.equal(clientId('${ID:-d}', { ID: 'x' }), 'x')
})

test('a reference may stand in a flow map, where a brace would end it', () => {
  const auth = 'auth: { issuer: "https://idp.example.com", client_id: ${ID}, client_secret: ${SECRET:-a, b} }\n'
  const s = loaded({ settings: minimum({ auth }), env: { ID: 'x' } })
  assert.equal(s.providers.get('default')?.client.clientId, 'x')
})

test('a value brings no YAML of its own', () => {
  assert.equal(clientId('${ID}', { ID: 'x\nadmin: true' }), 'x\nadmin: true')
  assert.equal(clientId('${ID}', { ID: '${OTHER}', OTHER: 'y' }), '${OTHER}')
  assert.equal(clientId('"$${ID}"', {}), '${ID}')
})

test('what is unset and has no default is a fault with its line, and nothing more is said about the key', () => {
  assert.deepEqual(faults({ settings: named('${ID}') }), ['settings.yaml:4 ENV_UNSET'])
})

test('a reference that is none is a fault', () => {
  for (const bad of ['${1A}', '${A-b}', '${}', '${A:-${B}}', '${A'])
    assert.deepEqual(faults({ settings: named(`'${bad}'`), env: { A: 'a' } }), ['settings.yaml:4 BAD_REFERENCE'], bad)
})

test('NAME_FILE brings a mounted secret without the line break at its end', () => {
  inDir({ settings: named('${ID}'), routes: 'routes: []' }, (dir) => {
    const file = join(dir, 'id')
    writeFileSync(file, 'from-a-file\n')
    const got = loadConfig(dir, { ID_FILE: file })
    assert.equal(got.ok && got.settings.providers.get('default')?.client.clientId, 'from-a-file')
    const both = loadConfig(dir, { ID: 'x', ID_FILE: file })
    assert.deepEqual(both.ok ? [] : both.faults.map((f) => f.code), ['ENV_TWICE'])
    for (const bad of [`${file}x`, dir, '/dev/zero']) {
      const none = loadConfig(dir, { ID_FILE: bad })
      assert.deepEqual(none.ok ? [] : none.faults.map((f) => f.code), ['ENV_FILE'], bad)
    }
  })
})

test('numbers, yes and no, and durations may come from the environment', () => {
  const settings = `${minimum({
    server:
      'server: { public_url: "https://a.example.com", trusted_proxies: ["${PEER}"], client_ip: { hops: "${HOPS}" } }\n',
    session: 'session: { secret: "${SECRET}", follow_id_token: "${FOLLOW}", idle_timeout: "${IDLE}" }\n',
  })}log: { level: "\${LEVEL:-warn}" }\n`
  const s = loaded({
    settings,
    env: { PEER: '10.0.0.1', HOPS: '2', SECRET: '0123456789abcdefghijklmnopqrstuv', FOLLOW: 'true', IDLE: '5m' },
  })
  assert.equal(s.server.clientIp.hops, 2)
  assert.deepEqual(s.server.trustedProxies, ['10.0.0.1/32'])
  assert.equal(s.session.followIdToken, true)
  assert.equal(s.session.idleTimeoutMs, 300_000)
  assert.equal(s.log.level, 'warn')
})

test('a value of the environment that does not fit is a fault at the line that names it', () => {
  const got = load({
    settings: minimum({
      session: 'session:\n  secret: "0123456789abcdefghijklmnopqrstuv"\n  follow_id_token: ${FOLLOW}\n',
    }),
    env: { FOLLOW: 'maybe' },
  })
  assert.deepEqual(got.ok ? [] : got.faults.map((f) => [f.line, f.code]), [[5, 'WRONG_TYPE']])
})
