import assert from 'node:assert/strict'
import { test } from 'node:test'
import { secret } from '../../config/secret.ts'
import { deriveAttempt, openAttempt } from '../../middleware/login/attempt.ts'
import { deriveKeys } from '../../middleware/session/keys.ts'
import { send } from '../support/client.ts'
import { ORIGIN, startService } from '../support/service.ts'

const SESSION_SECRET = 'demo-only-session-secret-0123456789abcdef'

test('no token, cookie, code, verifier or secret is in a log at any level, in a metric or in an answer that is no yes (CVE-2024-39315)', async () => {
  const s = await startService()
  const secrets = new Map<string, string>([
    ['session secret', SESSION_SECRET],
    ['client secret', 'demo-only-client-secret'],
  ])
  const said: string[] = []
  const say = async (res: Response): Promise<Response> => {
    const body = await res.clone().text()
    if (res.headers.get('x-bff-error') !== null) said.push(body, JSON.stringify([...res.headers]))
    return res
  }
  try {
    const client = s.client()
    const start = await client.page('/auth/login?return_to=/plain/1')
    const location = new URL(start.headers.get('location') ?? '')
    const keys = deriveKeys([secret(SESSION_SECRET)], 'login attempt')
    for (const [name, { value }] of client.cookies) {
      secrets.set(`cookie ${name}`, value)
      const opened = openAttempt(value, keys)
      if (opened === undefined) continue
      const redirectUri = `${ORIGIN}/auth/callback`
      const d = deriveAttempt(opened.attempt.random, opened.key, {
        issuer: new URL(s.provider.issuer).href,
        clientId: 'bff-server',
        redirectUri,
      })
      assert.equal(d.state, location.searchParams.get('state'), 'the derivation is the one in use')
      secrets.set('code verifier', d.codeVerifier).set('nonce', d.nonce)
    }
    assert.ok(secrets.has('code verifier'))
    const back = await s.provider.signIn(location)
    secrets.set('code', back.searchParams.get('code') ?? '')
    await say(await client.page(back.pathname + back.search))
    await say(await client.page(back.pathname + back.search))
    for (const [name, { value }] of client.cookies)
      if (value.length > 20)
        secrets.set(`cookie ${name}`, value).set(`cookie ${name}, decoded`, decodeURIComponent(value))
    for (const uri of ['/orders/1', '/billing/1', '/reports/1', '/open/shut', '/nowhere']) {
      const res = await say(await s.verify(uri, { client, headers: { authorization: 'Bearer of-the-client-secret' } }))
      const token = res.headers.get('authorization')?.replace('Bearer ', '')
      if (token !== undefined && res.status === 200) secrets.set(`token of ${uri}`, token)
    }
    secrets.set('client Authorization', 'of-the-client-secret')
    const csrf = client.cookies.get('_csrf_token')?.value ?? ''
    await say(await client.get('/api/auth/session'))
    await say(await client.post('/auth/logout', '', { 'x-csrf-token': 'wrong' }))
    await say(await client.get(`/auth/login?prompt=${encodeURIComponent('<x>')}&secret=in-the-query`))
    await say(await s.verify('/orders/%zz?token=in-the-query', { client }))
    await say(await client.post('/auth/backchannel-logout', 'logout_token=eyJ.of-nobody.x'))
    await say(await client.post('/auth/logout', '', { 'x-csrf-token': csrf, origin: ORIGIN }))
    await say(await s.verify('/orders/1', { client }))
    secrets.set('a query', 'in-the-query').set('a logout token', 'of-nobody')
    const metrics = await (await send(`${s.adminUrl}/metrics`)).text()
    const ready = await (await send(`${s.adminUrl}/ready`)).text()
    assert.ok([...secrets].length >= 12 && s.logs.length > 5 && said.length > 6)
    const all = [JSON.stringify(s.logs), metrics, ready, ...said].join('\n')
    for (const [what, text] of secrets) {
      assert.ok(text.length > 5, what)
      assert.ok(!all.includes(text), `${what} is told`)
    }
    assert.doesNotMatch(all, /eyJ[\w-]{10}/)
  } finally {
    await s.stop()
  }
})
