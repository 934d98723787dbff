import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { beforeEach, afterEach, describe, it } from 'node:test'
import { decodeProtectedHeader, decodeJwt } from 'jose'
import { secret } from '../../config/secret.ts'
import { systemClock } from '../../middleware/clock.ts'
import { createProvider } from '../../middleware/provider/provider.ts'
import type { Provider } from '../../middleware/provider/types.ts'
import type { BffEvent, EpochMs } from '../../middleware/types.ts'
import { type BadProvider, type Reply, startBadProvider } from './bad-provider.ts'
import { options, providerSettings } from './fixtures.ts'

describe('a call at the token endpoint', () => {
  let bad: BadProvider
  let provider: Provider
  let events: BffEvent[]
  const open: Provider[] = []
  const make = (o: Parameters<typeof options>[1] = {}, settings = providerSettings(bad.issuer)): Provider => {
    const all = options(settings, o)
    events = all.events
    const p = createProvider(all)
    open.push(p)
    return p
  }
  beforeEach(async () => {
    bad = await startBadProvider()
    provider = make()
  })
  afterEach(async () => {
    for (const p of open.splice(0)) p.close()
    await bad.close()
  })
  const refresh = (p = provider): ReturnType<Provider['tokenRequest']> =>
    p.tokenRequest({ grant_type: 'refresh_token', refresh_token: 'rt-1' })
  const answers = (r: Reply): void => void bad.on.set('/token', () => r)

  const down: readonly (readonly [string, Reply])[] = [
    ['401 invalid_grant', { status: 401, json: { error: 'invalid_grant' } }],
    [
      '401 with WWW-Authenticate beside the error',
      {
        status: 401,
        json: { error: 'invalid_grant' },
        headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
      },
    ],
    ['500 with an OAuth error', { status: 500, json: { error: 'invalid_grant' } }],
    ['503', { status: 503 }],
    ['429', { status: 429, json: { error: 'slow_down' } }],
    ['a redirect', { status: 302, headers: { location: 'https://evil.example' } }],
    ['404', { status: 404, text: 'not here' }],
    ['400 without an OAuth error', { status: 400, text: '<html>' }],
    ['broken JSON', { text: '{"access_token": "a", ' }],
    ['a JSON list', { json: [] }],
    ['no access token', { json: { token_type: 'Bearer' } }],
    ['an unknown token type', { json: { access_token: 'a', token_type: 'mac' } }],
    ['a connection that is cut', { hangUp: true }],
  ]
  for (const [what, reply] of down) {
    it(`R19 takes ${what} for trouble of the provider`, async () => {
      answers(reply)
      assert.equal((await refresh()).kind, 'down')
    })
  }

  it('takes 400 and 403 with an OAuth error for the provider’s word, and keeps tokens out of its description', async () => {
    for (const status of [400, 403]) {
      answers({
        status,
        json: { error: 'invalid_grant', error_description: 'Token eyJhbGciOiJSUzI1NiJ9.abcdefghijklmnop.zzz is stale' },
        headers: { 'www-authenticate': 'Basic realm="x"' },
      })
      const answer = await refresh()
      assert.deepEqual(answer, {
        kind: 'oauth_error',
        status,
        error: 'invalid_grant',
        description: 'Token [cut] is stale',
      })
    }
  })

  it('gives up on a slow answer after its timeout', async () => {
    const never = Promise.withResolvers<undefined>()
    answers({ after: never.promise })
    const answer = await refresh(make({ timeoutMs: 150 }))
    assert.deepEqual([answer.kind, answer.kind === 'down' && answer.detail], ['down', 'timeout'])
    never.resolve(undefined)
  })

  it('does not read a huge body whole', async () => {
    answers({ bytes: 30 * 1024 * 1024 })
    const answer = await refresh()
    assert.deepEqual([answer.kind, answer.kind === 'down' && answer.detail], ['down', 'too_large'])
    assert.ok(bad.sent.bytes < 20 * 1024 * 1024, `${bad.sent.bytes} bytes left the provider`)
  })

  it('passes on Retry-After, bounded', async () => {
    answers({ status: 503, headers: { 'retry-after': '7' } })
    const answer = await refresh()
    assert.equal(answer.kind === 'down' && answer.retryAfterS, 7)
    answers({ status: 503, headers: { 'retry-after': '999999' } })
    const long = await refresh()
    assert.equal(long.kind === 'down' && long.retryAfterS, 300)
  })

  it('keeps a rotated refresh token although the id token beside it is forged', async () => {
    answers({
      json: {
        access_token: 'a',
        token_type: 'Bearer',
        refresh_token: 'rt-2',
        id_token: bad.idToken({}, { alg: 'forged' }),
      },
    })
    const answer = await refresh()
    assert.equal(answer.kind, 'ok')
    assert.equal(answer.refreshToken?.reveal(), 'rt-2')
    assert.equal(answer.identity?.kind, 'rejected')
  })

  it('asks no more while the endpoint keeps failing, then one at a time', async () => {
    let now = 0
    const clock = { ...systemClock, monoMs: () => now, wallMs: () => Date.now() as EpochMs }
    const p = make({ clock, random: () => new Uint8Array([128]) })
    answers({ status: 500 })
    for (let i = 0; i < 5; i++) await refresh(p)
    assert.equal(bad.forms().length, 3)
    assert.equal(p.state().up, false)
    now += 5_000
    assert.equal(p.state().up, true, 'time for a try')
    answers({ json: { access_token: 'a', token_type: 'Bearer' } })
    const both = await Promise.all([refresh(p), refresh(p)])
    assert.deepEqual(both.map((a) => a.kind).sort(), ['down', 'ok'], 'a trickle while it is half open')
    assert.equal((await refresh(p)).kind, 'ok')
  })

  it('tells an outage once, and its end once, however often it is tried in between', async () => {
    let now = 0
    const clock = { ...systemClock, monoMs: () => now, wallMs: () => Date.now() as EpochMs }
    const p = make({ clock, random: () => new Uint8Array([128]) })
    const told = (): readonly string[] => events.map((e) => e.name).filter((n) => n.startsWith('provider_'))
    answers({ json: { access_token: 'a', token_type: 'Bearer' } })
    await refresh(p)
    answers({ status: 500 })
    const known: (true | undefined)[] = []
    for (let i = 0; i < 12; i++) {
      const answer = await refresh(p)
      assert.equal(answer.kind, 'down')
      known.push(answer.known)
      p.state()
      // Over the wait, so that every other one is a real try.
      now += i < 3 ? 0 : 25_000
    }
    assert.ok(bad.forms().length > 6, 'it was tried')
    assert.deepEqual(
      [known.slice(0, 3), known.slice(3).every((k) => k === true)],
      [[undefined, undefined, undefined], true],
    )
    assert.deepEqual(told(), ['provider_up', 'provider_down'])
    answers({ json: { access_token: 'a', token_type: 'Bearer' } })
    now += 60_000
    assert.equal((await refresh(p)).kind, 'ok')
    assert.deepEqual(told(), ['provider_up', 'provider_down', 'provider_up'])
  })

  it('sends several audiences and resources as several parameters', async () => {
    answers({ json: { access_token: 'a', token_type: 'Bearer' } })
    await provider.tokenRequest({ grant_type: 'x', audience: ['a', 'b'], resource: ['c'], scope: undefined })
    const [form] = bad.forms()
    assert.deepEqual(
      [form?.getAll('audience'), form?.getAll('resource'), form?.has('scope')],
      [['a', 'b'], ['c'], false],
    )
  })

  it('encodes a client secret for Basic as RFC 6749 §2.3.1 wants it', async () => {
    answers({ json: { access_token: 'a', token_type: 'Bearer' } })
    await refresh()
    const basic = Buffer.from(String(bad.asked.at(-1)?.headers.authorization).slice(6), 'base64').toString()
    assert.deepEqual(basic.split(':').map(decodeURIComponent), ['bff-server', 'a-client-secret-with-%-and-:'])
  })

  it('proves a client by private_key_jwt with the issuer as audience', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const key = secret(privateKey.export({ format: 'pem', type: 'pkcs8' }))
    const p = make({}, providerSettings(bad.issuer, { auth: { kind: 'private_key_jwt', key, kid: 'bff-1' } }))
    answers({ json: { access_token: 'a', token_type: 'Bearer' } })
    assert.equal((await refresh(p)).kind, 'ok')
    const assertion = bad.forms().at(-1)?.get('client_assertion') ?? ''
    assert.deepEqual(
      [decodeProtectedHeader(assertion).alg, decodeProtectedHeader(assertion).kid, decodeJwt(assertion).aud],
      ['ES256', 'bff-1', bad.issuer],
    )
  })

  it('R16 asks as another client, at another endpoint, where told to', async () => {
    bad.on.set('/other', () => ({ json: { access_token: 'a', token_type: 'Bearer' } }))
    const machine = { clientId: 'bff-m2m', auth: { kind: 'client_secret_post' as const, secret: secret('m2m') } }
    const answer = await provider.tokenRequest(
      { grant_type: 'client_credentials' },
      { client: machine, tokenEndpoint: new URL(`${bad.issuer}/other`) },
    )
    assert.equal(answer.kind, 'ok')
    assert.equal(bad.forms('/other')[0]?.get('client_id'), 'bff-m2m')
  })

  it('starts without the provider and comes back by itself', async () => {
    await bad.stop()
    const p = make({
      clock: {
        ...systemClock,
        sleep: (ms, stop) => systemClock.sleep(Math.min(ms, 20), stop),
        monoMs: () => performance.now() * 1000,
      },
    })
    const seen = events
    await assert.rejects(p.ready())
    assert.deepEqual([p.state().up, p.state().discovered], [false, false])
    assert.equal((await p.endSessionUrl({})) === undefined, true, 'logout goes on without it')
    const back = new Promise<void>((resolve) => {
      const poll = setInterval(() => {
        if (!p.state().up) return
        clearInterval(poll)
        resolve()
      }, 5)
    })
    await bad.start()
    await back
    assert.ok(seen.some((e) => e.name === 'provider_up'))
  })

  it('refuses metadata of another issuer', async () => {
    bad.metadata = { ...bad.metadata, issuer: 'https://evil.example' }
    await assert.rejects(make().ready())
  })
})
