import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { SignJWT, generateKeyPair } from 'jose'
import { startRedis, until } from '../../demo/launcher/index.ts'
import type { Client } from '../support/client.ts'
import { startWire } from '../support/redis-world.ts'
import { LOGOUT_EVENT, startInstantProvider, type InstantProvider } from '../support/instant-provider.ts'
import { ORIGIN, startService, type Service } from '../support/service.ts'

const run = promisify(execFile)
const CLI = join(import.meta.dirname, '..', '..', 'cli.ts')
const code = (res: Response): string | null => res.headers.get('x-bff-error')
const csrf = async (c: Client): Promise<string> =>
  ((await (await c.get('/auth/csrf')).json()) as { csrf_token: string }).csrf_token
const signedIn = async (c: Client): Promise<boolean> => (await c.get('/api/auth/session')).status === 200

interface Listed {
  readonly sessions: readonly {
    readonly id: string
    readonly current: boolean
    readonly created_at: string
    readonly last_seen_at: string
    readonly user_agent: string
    readonly ip: string
  }[]
}

describe("the user's own list of sessions", () => {
  let s: Service
  before(async () => {
    s = await startService()
  })
  after(() => s.stop())

  test('shows each with device, address and time, and marks this one; the id is its X-Session-ID', async () => {
    const [here, there] = [await s.signIn(), await s.signIn()]
    const { sessions } = (await (await here.get('/auth/sessions')).json()) as Listed
    assert.equal(sessions.length, 2)
    assert.deepEqual(sessions.map((x) => x.current).sort(), [false, true])
    const id = (await s.verify('/plain/1', { client: there })).headers.get('x-session-id')
    assert.equal(sessions.find((x) => !x.current)?.id, id)
    for (const x of sessions) assert.match(x.created_at + x.last_seen_at, /^\d{4}-.*Z\d{4}-.*Z$/)
    const page = await here.page('/auth/sessions')
    assert.equal(page.status, 200)
    assert.match(await page.text(), /<ul class="sessions">[\s\S]*End this session/)
    assert.equal((await s.client().get('/auth/sessions')).status, 401)
  })

  test('one of them can be ended, with the CSRF token, from a program and from a form; nobody else’s can', async () => {
    const [here, there, third] = [await s.signIn(), await s.signIn(), await s.signIn()]
    const idOf = async (client: Client): Promise<string> =>
      (await s.verify('/plain/1', { client })).headers.get('x-session-id') ?? ''
    const [a, b] = [await idOf(there), await idOf(third)]
    const del = (id: string, headers: Record<string, string>): Promise<Response> =>
      here.get(`/auth/sessions/${id}`, headers, { method: 'DELETE' })
    assert.equal(code(await del(a, {})), 'CSRF_FAILED')
    assert.equal((await del('nobody-has-this-id-xxx', { 'x-csrf-token': await csrf(here) })).status, 404)
    assert.equal((await del(a, { 'x-csrf-token': await csrf(here) })).status, 200)
    assert.equal(await signedIn(there), false)
    const form = await here.post(`/auth/sessions/${b}`, `csrf_token=${await csrf(here)}`, {
      'sec-fetch-mode': 'navigate',
      origin: ORIGIN,
    })
    assert.deepEqual([form.status, form.headers.get('location')], [303, '/auth/sessions'])
    assert.equal(await signedIn(third), false)
    assert.equal(await signedIn(here), true)
  })
})

describe('back-channel logout', () => {
  let idp: InstantProvider
  let s: Service
  before(async () => {
    idp = await startInstantProvider()
    s = await startService({ issuer: idp.issuer })
  })
  after(async () => {
    await s.stop()
    idp.close()
  })
  const EVENT = LOGOUT_EVENT
  const sign: InstantProvider['sign'] = (...a) => idp.sign(...a)
  const tell = (token: string): Promise<Response> =>
    s.client().post('/auth/backchannel-logout', new URLSearchParams({ logout_token: token }).toString())
  const signIn = (): Promise<Client> => idp.signIn(s.client())

  test('ends every session of a sid, or of a user, at once, and says 200 when there is none', async () => {
    for (const claims of [{ sid: 'the-sid', sub: undefined }, { sid: undefined }, { sid: 'the-sid' }]) {
      const [one, two] = [await signIn(), await signIn()]
      assert.ok((await signedIn(one)) && (await signedIn(two)))
      const res = await tell(await sign({ events: EVENT, ...claims }))
      assert.equal(res.status, 200)
      assert.match(res.headers.get('cache-control') ?? '', /no-store/)
      assert.deepEqual([await signedIn(one), await signedIn(two)], [false, false])
    }
    assert.equal((await tell(await sign({ events: EVENT }))).status, 200)
    await s.waitForLog((l) => l['msg'] === 'session_ended reason=backchannel_logout')
  })

  test('refuses whatever does not hold, and ends nothing for it', async () => {
    const client = await signIn()
    const now = Math.floor(Date.now() / 1000)
    const stranger = await generateKeyPair('RS256')
    const good = await sign({ events: EVENT, sid: 'another-sid' })
    assert.equal((await tell(good)).status, 200)
    const bad = [
      good,
      await sign({ events: EVENT, nonce: 'x' }),
      await sign({ events: undefined }),
      await sign({ events: {} }),
      await sign({ events: { 'http://schemas.openid.net/event/backchannel-logout': [] } }),
      await sign({ events: EVENT, aud: 'somebody' }),
      await sign({ events: EVENT, iss: 'https://evil.example.com' }),
      await sign({ events: EVENT, exp: now - 600, iat: now - 700 }),
      await sign({ events: EVENT, iat: now - 3600 }),
      await sign({ events: EVENT, jti: undefined }),
      await sign({ events: EVENT, sub: undefined, sid: undefined }),
      await sign({ events: EVENT }, { typ: 'at+jwt' }),
      await new SignJWT({ iss: idp.issuer, aud: 'bff-server', sub: 'alice', jti: 'z', events: EVENT })
        .setProtectedHeader({ alg: 'RS256', kid: 'k', typ: 'logout+jwt' })
        .setIssuedAt()
        .setExpirationTime('2m')
        .sign(stranger.privateKey),
      'nonsense',
      '',
    ]
    for (const [i, token] of bad.entries()) assert.equal((await tell(token)).status, 400, `number ${i}`)
    assert.equal(
      (
        await s.client().post('/auth/backchannel-logout', JSON.stringify({ logout_token: good }), {
          'content-type': 'application/json',
        })
      ).status,
      400,
    )
    assert.equal(await signedIn(client), true)
  })
})

describe('traefik-bff sessions, beside a running server', () => {
  for (const store of ['SQLite', 'Redis'] as const) {
    test(`lists and revokes on ${store}: one session, a user's, all`, async () => {
      const redis = store === 'Redis' ? await startRedis() : undefined
      const home = mkdtempSync(join(tmpdir(), 'bff-cli-'))
      const s = await startService({ store: redis?.url ?? `sqlite:${join(home, 'data', 'sessions.db')}` })
      try {
        const cli = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
          run(process.execPath, [CLI, 'sessions', ...args, '--config', s.dir]).then(
            (r) => ({ code: 0, ...r }),
            (e: unknown) => e as { code: number; stdout: string; stderr: string },
          )
        const clients = [await s.signIn(), await s.signIn(), await s.signIn()] as const
        const listed = await cli('list')
        assert.equal(listed.code, 0)
        assert.match(listed.stdout, /3 sessions\n$/)
        assert.ok(!listed.stdout.includes(clients[0].cookies.get('bff_session')?.value.slice(6, 30) ?? 'none'))
        const id = (await s.verify('/plain/1', { client: clients[0] })).headers.get('x-session-id') ?? ''
        assert.match((await cli('revoke', id)).stdout, /^1 session ended/)
        await until('the first out', async () => !(await signedIn(clients[0])))
        assert.equal(await signedIn(clients[1]), true)
        assert.match((await cli('revoke', 'alice')).stdout, /^2 sessions ended/)
        await until('all out', async () => !(await signedIn(clients[1])) && !(await signedIn(clients[2])))
        const again = await s.signIn()
        assert.match((await cli('revoke', '--all')).stdout, /^1 session ended/)
        await until('the last out', async () => !(await signedIn(again)))
        assert.equal((await cli('revoke', 'nobody')).code, 1)
        assert.equal((await cli('revoke')).code, 2)
        assert.equal((await cli('nonsense')).code, 2)
        const dashed = await cli('revoke', '-9d5g1XhHhX0CqFQX-T_Zw')
        assert.deepEqual(
          [dashed.code, dashed.stdout],
          [1, '0 sessions ended\n'],
          'an id that begins with a dash is no option',
        )
      } finally {
        await s.stop()
        await redis?.stop()
        rmSync(home, { recursive: true, force: true })
      }
    })
  }

  test('waits for a store that is slow, and says why where it cannot be reached', async () => {
    const redis = await startRedis()
    const wire = await startWire(redis.port)
    const s = await startService({
      store: `redis://127.0.0.1:${wire.port}`,
      settings: (base) => (base.session['stall_timeout'] = '400ms'),
    })
    const list = (): Promise<{ stdout: string; stderr: string }> =>
      run(process.execPath, [CLI, 'sessions', 'list', '--config', s.dir]).catch(
        (e: unknown) => e as { stdout: string; stderr: string },
      )
    try {
      await s.signIn()
      wire.delayMs = 150
      assert.match((await list()).stdout, /1 session\n$/)
      wire.cut(true)
      assert.match((await list()).stderr, /^traefik-bff sessions: the session store does not answer: \S/)
    } finally {
      await s.stop()
      await wire.close()
      await redis.stop()
    }
  })
})
