import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { loadConfig } from '../../config/load.ts'
import type { Settings } from '../../config/types.ts'
import { checkTraefik } from '../../traefik/check/check.ts'
import { toFile } from '../../traefik/generate/file.ts'
import { planTraefik } from '../../traefik/generate/plan.ts'
import { writeConfig, type ServiceOptions } from '../support/service.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const dir = mkdtempSync(join(tmpdir(), 'bff-traefik-check-'))
after(() => rmSync(dir, { recursive: true, force: true }))

function settingsOf(o: ServiceOptions = {}): Settings {
  writeConfig(dir, 'http://127.0.0.1:9', {
    ...o,
    settings: (s) => {
      s.server['listen'] = '127.0.0.1:4181'
      o.settings?.(s)
    },
  })
  const loaded = loadConfig(dir, {})
  if (!loaded.ok) throw new Error(loaded.faults.map((f) => f.message).join('\n'))
  return loaded.settings
}

const settings = settingsOf()
const found = (text: string, of = settings): readonly string[] =>
  checkTraefik(of, [{ name: 't.yaml', text }]).map((f) => `${f.line} ${f.severity} ${f.code}`)

const generated = (of = settings): string => toFile(planTraefik(of, OPTIONS), of, OPTIONS)
const OPTIONS = { entryPoint: 'web', tls: false, upstreams: {} }
/** The generated file with one thing in it written otherwise. */
function changed(from: string, to: string): string {
  assert.ok(generated().includes(from), from)
  return generated().replace(from, to)
}

describe('traefik-bff check --traefik', () => {
  test('finds nothing in what generate writes, nor a fault in what is checked in', () => {
    assert.deepEqual(found(generated()), [])
    const over = settingsOf({
      settings: (s) => {
        s.server['verify_listen'] = '127.0.0.1:4443'
        s.server['verify_tls'] = {
          cert: join(ROOT, 'test/provider/tls/server.pem'),
          key: join(ROOT, 'test/provider/tls/server.key'),
          client_ca: join(ROOT, 'test/provider/tls/client.pem'),
        }
      },
    })
    assert.deepEqual(found(generated(over), over), [])
    const files = ['static.yaml', 'dynamic.yaml'].map((f) => join(ROOT, 'traefik', f))
    const out = execFileSync(process.execPath, ['cli.ts', 'check', '--config', 'config', '--traefik', ...files], {
      cwd: ROOT,
      encoding: 'utf8',
    })
    assert.match(out, /^0 faults, /m)
  })

  for (const [what, from, to, wanted, key] of [
    [
      'who is believed is left open',
      'trustForwardHeader: false',
      'trustForwardHeader: true',
      'fault TRAEFIK_TRUST',
      'trustForwardHeader:',
    ],
    ['a header of ours is not listed', '- X-User-ID\n', '- X-Else\n', 'fault TRAEFIK_HEADERS', 'authResponseHeaders:'],
    [
      'the answer may be of any size',
      'maxResponseBodySize: 16384',
      'maxResponseBodySize: -1',
      'warning TRAEFIK_NO_LIMIT',
      'maxResponseBodySize:',
    ],
    [
      'our pages do not fit',
      'maxResponseBodySize: 16384',
      'maxResponseBodySize: 100',
      'fault TRAEFIK_SMALL',
      'maxResponseBodySize:',
    ],
    [
      'a check hides the cookie',
      'trustForwardHeader: false',
      'trustForwardHeader: false\n        authRequestHeaders: [Accept]',
      'fault TRAEFIK_HIDES',
      'authRequestHeaders:',
    ],
    [
      '401 becomes a redirect',
      'trustForwardHeader: false',
      'trustForwardHeader: false\n        authSigninURL: https://x',
      'fault TRAEFIK_SIGNIN',
      'authSigninURL:',
    ],
    [
      'a check is a POST',
      'trustForwardHeader: false',
      'trustForwardHeader: false\n        preserveRequestMethod: true',
      'warning TRAEFIK_NO_RETRY',
      'preserveRequestMethod:',
    ],
    [
      'the pin is misspelt',
      '/auth/verify?service=orders',
      '/auth/verify?service=order',
      'fault TRAEFIK_PIN',
      'address:',
    ],
    [
      'the address is a public one',
      'http://127.0.0.1:4181/auth/verify',
      'http://localhost:8000/auth/verify',
      'fault TRAEFIK_PUBLIC_ADDRESS',
      'address:',
    ],
    ['the path is another', ':4181/auth/verify', ':4181/verify', 'fault TRAEFIK_ADDRESS', 'address:'],
  ] as const) {
    test(`says with its line that ${what}`, () => {
      const text = changed(from, to)
      const [told = '', ...more] = found(text)
      assert.deepEqual([told.replace(/^\d+ /, ''), more], [wanted, []])
      assert.match(text.split('\n')[Number(told.split(' ')[0]) - 1] ?? '', new RegExp(`^ *${key}`))
    })
  }

  test('tells aliases that nobody removes: a fault, or a warning where the entry point refuses them', () => {
    const regex = /authResponseHeadersRegex: .*\n/.exec(generated())?.[0] ?? ''
    const text = generated().replaceAll(regex, 'authResponseHeadersRegex: "(?i)^x[^a-z0-9]user[^a-z0-9]id$"\n')
    assert.ok(found(text).every((f) => f.endsWith('fault TRAEFIK_ALIASES')) && found(text).length > 0)
    const stopped = {
      name: 's.yaml',
      text: 'entryPoints: { web: { address: ":80", http: { aliasHeadersStrategy: reject } } }',
    }
    const both = checkTraefik(settings, [stopped, { name: 't.yaml', text }])
    assert.ok(both.length > 0 && both.every((f) => f.severity === 'warning' && f.code === 'TRAEFIK_ALIASES'))
  })

  test('looks at the order of a router, through chains, and at a retry that turns 5xx into 200', () => {
    const text = generated()
      .replace(
        'middlewares:\n',
        'middlewares:\n    strip: { stripPrefix: { prefixes: [/x] } }\n    again: { retry: { attempts: 2, status: [503] } }\n    all: { chain: { middlewares: [strip, bff-auth-orders, again] } }\n    dress: { errors: { status: ["400-599"], service: x, query: / } }\n',
      )
      .concat('\n')
    const router = /bff-orders:\n(?:.*\n)*?\s+middlewares:\n\s+- bff-auth-orders\n/.exec(text)?.[0] ?? ''
    assert.notEqual(router, '')
    const told = found(text.replace(router, router.replace('- bff-auth-orders', '- dress\n        - all')))
    assert.deepEqual(
      told.map((t) => t.replace(/^\d+ /, '')),
      ['warning TRAEFIK_ORDER', 'fault TRAEFIK_ORDER', 'fault TRAEFIK_RETRY_STATUS'],
    )
  })

  test('a router that leads a browser to verify, and files without any check, are warned of', () => {
    const open =
      'http:\n  routers:\n    all: { rule: "Host(`a`)", service: us }\n  services:\n    us: { loadBalancer: { servers: [{ url: "http://127.0.0.1:4181" }] } }\n'
    assert.deepEqual(found(open), ['3 warning TRAEFIK_PUBLIC_VERIFY', '1 warning TRAEFIK_NO_CHECK'])
    const shut = open.replace('Host(`a`)', 'PathPrefix(`/api/`)')
    assert.deepEqual(found(shut), ['1 warning TRAEFIK_NO_CHECK'])
  })

  test('the entry point and the access log', () => {
    const text = `entryPoints:
  web:
    forwardedHeaders: { insecure: true }
    http:
      sanitizePath: false
      underscoreHeadersStrategy: reject
      encodedCharacters: { allowEncodedSlash: true, allowEncodedNullCharacter: true }
accessLog: { fields: { headers: { defaultMode: keep, names: { authorization: redact } } } }
`
    assert.deepEqual(found(text), [
      '3 fault TRAEFIK_TRUSTS_ANYBODY',
      '5 fault TRAEFIK_RAW_PATHS',
      '4 warning TRAEFIK_TAKES_ALIASES',
      '7 warning TRAEFIK_ENCODED',
      '7 warning TRAEFIK_ENCODED',
      '8 fault TRAEFIK_LOGS_SECRETS',
    ])
  })

  test('a file that is no YAML, is TOML, or holds what is no map, is told and harms nothing', () => {
    assert.deepEqual(found('http: [\n'), ['2 fault YAML_SYNTAX'])
    assert.deepEqual(
      checkTraefik(settings, [{ name: 't.toml', text: '[http]' }]).map((f) => f.code),
      ['TRAEFIK_TOML'],
    )
    for (const odd of ['', 'http: 3', 'http: { middlewares: [], routers: { a: 4 } }', 'entryPoints: [web]', '- a'])
      assert.ok(
        found(odd).every((f) => !f.includes('fault')),
        odd,
      )
  })
})
