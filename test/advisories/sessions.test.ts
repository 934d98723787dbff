import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { loadConfig } from '../../config/load.ts'
import { sendBytes } from '../support/bytes.ts'
import { send } from '../support/client.ts'
import { ORIGIN, PUBLIC_HOST, startService, type Service } from '../support/service.ts'

let s: Service
before(async () => {
  s = await startService({
    settings: (base) => {
      delete base.server['public_url']
      base.server['public_urls'] = [ORIGIN, 'http://other.localhost:8000']
    },
  })
})
after(() => s.stop())

const withCookie = (cookie: string, headers: Record<string, string> = {}): Promise<Response> =>
  s.verify('/plain/1', { headers: { cookie, ...headers } })

test('a malformed cookie is no session, and carries no identity of the client own either (CVE-2026-25748)', async () => {
  for (const value of [
    's%3A',
    '%',
    '%00',
    '%ZZ',
    '"',
    's:.',
    `s%3A${'a'.repeat(43)}.`,
    'x'.repeat(9000),
    '[]',
    'null',
  ]) {
    const res = await withCookie(`bff_session=${value}`, { 'x-user-id': 'mallory' })
    assert.equal(res.status, 401, value.slice(0, 20))
    assert.equal(res.headers.get('x-user-id'), null)
  }
})

test('a cookie with a NUL or another control on the wire is no request', async () => {
  for (const char of ['\0', '\x01', '\x7f', '\n']) {
    const got = await sendBytes(
      Number(new URL(s.url).port),
      `GET /auth/verify HTTP/1.1\r\nHost: x\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Host: ${PUBLIC_HOST}\r\nX-Forwarded-Uri: /plain/1\r\nCookie: bff_session=a${char}b\r\nConnection: close\r\n\r\n`,
    )
    assert.match(got, /^HTTP\/1\.1 (?:400|401) /)
  }
})

test('two cookies of one name, the bad one first or last, are refused: neither wins', async () => {
  const alice = await s.signIn()
  const good = alice.cookies.get('bff_session')?.value ?? ''
  for (const cookie of [`bff_session=bad; bff_session=${good}`, `bff_session=${good}; bff_session=bad`])
    assert.equal((await withCookie(cookie)).status, 400)
})

test('a planted cookie is not the session that a sign-in opens (fixation)', async () => {
  const mallory = await s.signIn()
  const planted = mallory.cookies.get('bff_session')
  assert.ok(planted !== undefined)
  const victim = s.client()
  victim.cookies.set('bff_session', planted)
  await s.signIn(victim, '/auth/login?prompt=login')
  assert.notEqual(victim.cookies.get('bff_session')?.value, planted.value)
  assert.equal((await withCookie(`bff_session=${planted.value}`)).status, 401, 'what was planted is worth nothing now')
})

test('a session of one site is none on another, also right after it was warm there (GHSA-qvp4-rpmr-xwrr)', async () => {
  const alice = await s.signIn()
  const cookie = alice.header('/plain')
  for (let i = 0; i < 3; i++) {
    assert.equal((await withCookie(cookie)).status, 200)
    assert.equal((await withCookie(cookie, { 'x-forwarded-host': 'other.localhost:8000' })).status, 401)
  }
})

test('a warm yes of one route is no yes of another', async () => {
  const alice = await s.signIn()
  assert.equal((await s.verify('/plain/1', { client: alice })).status, 200)
  assert.equal((await s.verify('/open/shut', { client: alice })).status, 403)
  assert.equal((await s.verify('/plain/1', { client: alice, pin: 'orders' })).status, 403)
})

test('signing out clears the cookie and ends the session, not the page alone (GHSA-f24x-5g9q-753f, CVE-2026-34454)', async () => {
  const alice = await s.signIn()
  const cookie = alice.header('/plain')
  const token = alice.cookies.get('_csrf_token')?.value ?? ''
  const out = await alice.post('/auth/logout', `csrf_token=${encodeURIComponent(token)}`, { origin: ORIGIN })
  assert.match(out.headers.getSetCookie().join('\n'), /bff_session=; Path=\/; Expires=Thu, 01 Jan 1970/)
  assert.equal((await withCookie(cookie)).status, 401)
})

test('a cookie replayed after sign-out is worth nothing, and no request that was under way brings it back (CVE-2025-29928, CVE-2023-20862)', async () => {
  const alice = await s.signIn()
  const cookie = alice.header('/plain')
  const token = alice.cookies.get('_csrf_token')?.value ?? ''
  const underWay = Array.from({ length: 10 }, () => s.verify('/orders/1', { headers: { cookie } }))
  const out = await alice.post('/auth/logout', '', { 'x-csrf-token': token, origin: ORIGIN })
  assert.equal(out.status, 200)
  await Promise.all(underWay)
  for (let i = 0; i < 3; i++) assert.equal((await withCookie(cookie)).status, 401)
})

/** What the demo signs with, which everybody can read. */
const PUBLISHED = '{ secret: demo-only-session-secret-change-me-0123456789 }'

test('there is no default secret: without one, with a short one, or with the demo’s on a real host, nothing starts', () => {
  const dir = mkdtempSync(join(tmpdir(), 'bff-secret-'))
  try {
    for (const session of [
      '{}',
      '{ secret: "" }',
      '{ secret: secret }',
      `{ secret: "${'a'.repeat(31)}" }`,
      PUBLISHED,
    ]) {
      writeFileSync(
        join(dir, 'settings.yaml'),
        `server: { public_url: "${session.includes('demo-only') ? 'https://app.example.com' : ORIGIN}" }\nauth: { issuer: "http://localhost:9", client_id: x, client_secret: y }\nsession: ${session}\n`,
      )
      writeFileSync(join(dir, 'routes.yaml'), 'services: {}\nroutes: []\n')
      assert.equal(loadConfig(dir, {}).ok, false, session)
    }
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('answers that open a session, or say who somebody is, are kept by no cache (CVE-2025-48947)', async () => {
  const alice = await s.signIn()
  for (const path of ['/api/auth/session', '/auth/csrf', '/auth/login', '/auth/logout', '/auth/sessions']) {
    const res = await send(s.url + path, {
      headers: { 'x-forwarded-host': 'localhost:8000', cookie: alice.header(path) },
    })
    assert.match(res.headers.get('cache-control') ?? '', /no-store/, path)
  }
  assert.match((await s.verify('/plain/1', { client: alice })).headers.get('cache-control') ?? '', /no-store/)
})
