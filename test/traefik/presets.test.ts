import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatFinding, loadConfig } from '../../config/load.ts'
import { startWorld, type World } from '../../demo/world.ts'
import { createVerifier } from '../../docs/examples/verify-assertion.ts'
import { identityHeaderNames } from '../../middleware/identity/header-names.ts'
import { buildForwardAuth } from '../../traefik/generate/middleware.ts'
import { ORDERS_AUDIENCE } from '../../demo/config.ts'
import { signInAt } from '../support/sign-in.ts'

const MAP = { 'X-Forwarded-User': 'preferred_username', 'X-Department': 'department.name' }

/** What the orders API got under names of ours, without the correlation id. */
function told(w: World): Record<string, unknown> {
  const names = new Set(identityHeaderNames({ identity: { map: MAP } }).map((n) => n.toLowerCase()))
  const seen = Object.entries(w.orders.seen.at(-1)?.headers ?? {})
  return Object.fromEntries(seen.filter(([n]) => names.has(n) && n !== 'x-correlation-id'))
}

describe('through a real Traefik and through the proxy alike', () => {
  for (const [preset, list, wanted] of [
    [
      'oauth2-proxy',
      ['X-Forwarded-User', 'X-Auth-Request-Groups'],
      { 'x-forwarded-user': 'alice', 'x-auth-request-groups': 'staff,admins' },
    ],
    ['authelia', ['Remote-User', 'Remote-Name'], { 'remote-user': 'alice', 'remote-name': 'Alice Doe' }],
  ] as const) {
    test(`with ${preset} a service gets the headers of its list, and of a client's own copies of any preset none`, async () => {
      const w = await startWorld({
        settings: (s) => {
          s['identity_headers'] = { preset, map: MAP }
          Object.assign((s['service_tokens'] as Record<string, object>)['orders'] ?? {}, { identity_headers: list })
        },
        // Aliases pass the entry point, so that the regex has to do it.
        static: (s) => {
          delete (s.entryPoints['web'] as { http: Record<string, unknown> }).http['aliasHeadersStrategy']
        },
      })
      try {
        const loaded = loadConfig(w.dir, {})
        assert.ok(loaded.ok, loaded.ok ? '' : loaded.faults.map(formatFinding).join('\n'))
        const names = identityHeaderNames(loaded.settings)
        const aliases = names.flatMap((n) => [n.replaceAll('-', '_'), n.replaceAll('-', '.')])
        const forge = (list: readonly string[]) => Object.fromEntries(list.map((n) => [n, 'mallory']))
        const cookie = await signInAt(w.origin)
        for (const path of ['/orders/1', '/api/orders/1']) {
          // In header mode an alias that we see is refused; the proxy deletes it.
          const header = path === '/orders/1'
          const headers = forge(header ? names : [...names, ...aliases])
          if (header)
            assert.equal((await fetch(w.origin + path, { headers: { ...forge(aliases), cookie } })).status, 400)
          const res = await fetch(w.origin + path, { headers: { ...headers, cookie } })
          assert.equal(res.status, 200, `${path}: ${await res.text()}`)
          assert.deepEqual(told(w), wanted, path)
          assert.ok(!JSON.stringify(w.orders.seen.at(-1)?.headers).includes('mallory'), path)
        }
      } finally {
        await w.stop()
      }
    })
  }

  test("the middleware made from an operator's settings is taken by Traefik, and its assertion verifies through it", async () => {
    const map = { ...MAP, 'X-Team': 'groups.1' }
    const w = await startWorld({
      settings: (s) => {
        s['identity_headers'] = { map, assertion: { enabled: true } }
      },
      dynamic: (d) => {
        const address = d.http.middlewares['bff-auth']?.forwardAuth['address']
        const listen = { host: '127.0.0.1', port: Number(new URL(String(address)).port) }
        const made = buildForwardAuth({ identity: { map }, server: { listen, basePath: '/auth' } })
        const forwardAuth = { ...made, authResponseHeaders: [...made.authResponseHeaders] }
        d.http.middlewares['bff-auth'] = { forwardAuth }
      },
    })
    try {
      const cookie = await signInAt(w.origin)
      const verify = createVerifier(new URL('/auth/jwks', w.origin), { issuer: w.origin, audience: ORDERS_AUDIENCE })
      for (const path of ['/orders/1', '/api/orders/1']) {
        assert.equal((await fetch(w.origin + path, { headers: { cookie } })).status, 200)
        const claims = await verify(String(w.orders.seen.at(-1)?.headers['x-identity-assertion']))
        assert.deepEqual([claims.sub, claims['groups']], ['alice', ['staff', 'admins']])
        assert.equal(w.orders.seen.at(-1)?.headers['x-team'], 'admins')
      }
    } finally {
      await w.stop()
    }
  })
})
