import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fixture, load, loaded, MINIMUM } from './dir.ts'

/** The seed file as it stands, and beside its keys only what a start cannot do without. */
const seed = (name: string): string =>
  MINIMUM.server +
  MINIMUM.session +
  fixture(name).replace(/^auth:$/m, 'auth:\n  issuer: https://idp.ocg.labs.empowernow.ai\n  client_id: bff-server')

test('R7 routes.yaml of the seed is taken as it stands', () => {
  const s = loaded({ settings: seed('settings-s3.yaml'), routes: fixture('routes.yaml') })
  const [route] = s.routes
  assert.equal(s.routes.length, 1)
  assert.deepEqual(
    {
      id: route?.id,
      path: route?.path,
      service: route?.service,
      upstreamPath: route?.upstreamPath,
      auth: route?.auth,
      csrf: route?.csrf,
    },
    {
      id: 'api-analytics',
      path: '/api/v1/analytics/*',
      service: 'analytics_service',
      upstreamPath: '/api/v1/analytics/{path}',
      auth: 'session',
      csrf: 'token',
    },
  )
  assert.equal(s.services.get('analytics_service')?.baseUrl?.href, 'http://analytics:8100/')
})

test('R8 settings.yaml of S3 is taken as it stands: audiences and scopes by service', () => {
  const s = loaded({ settings: seed('settings-s3.yaml'), routes: fixture('routes.yaml') })
  assert.deepEqual(
    [...s.services].map(([name, x]) => [name, x.audience, x.scopes]),
    [
      ['crud_service', 'https://crud.ocg.labs.empowernow.ai', []],
      ['pdp_service', 'https://authz.ocg.labs.empowernow.ai/api/v1', []],
      ['idp_service', 'https://idp.ocg.labs.empowernow.ai/api/v1', []],
      ['analytics_service', 'https://analytics.ocg.labs.empowernow.ai', ['application.all']],
    ],
  )
  assert.deepEqual(s.providers.get('default')?.oauthScopes, [
    'openid',
    'profile',
    'email',
    'application.all',
    'offline_access',
  ])
})

test('R8 the map of S4 is taken as it stands, under service_tokens', () => {
  const s = loaded({ settings: seed('settings-s4.yaml'), routes: fixture('routes.yaml') })
  const service = s.services.get('analytics_service')
  assert.equal(service?.audience, 'https://analytics.ocg.labs.empowernow.ai')
  assert.deepEqual(service.scopes, ['api.read', 'api.write', 'application.all'])
  assert.equal(service.baseUrl?.port, '8100')
})

test('services of S3 that no route leads to are warnings, each with its line', () => {
  const got = load({ settings: seed('settings-s3.yaml'), routes: fixture('routes.yaml') })
  const unused = got.warnings.filter((w) => w.code === 'AUDIENCE_UNUSED').map((w) => /`(\w+)`/.exec(w.message)?.[1])
  assert.deepEqual(unused, ['crud_service', 'pdp_service', 'idp_service'])
})
