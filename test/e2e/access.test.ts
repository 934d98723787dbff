import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { ROBOT_SECRET, ORDERS_AUDIENCE } from '../../demo/config.ts'
import type { World } from '../../demo/world.ts'
import { startWorldAndBrowser } from '../support/browser-world.ts'
import { signInOn } from '../support/demo-page.ts'

describe('who may what, in a real browser, through a real Traefik', () => {
  let w: World
  let browser: Browser
  before(async () => {
    ;[w, browser] = await startWorldAndBrowser()
  })
  after(async () => {
    await browser.close()
    await w.stop()
  })

  async function signIn(user: string): Promise<Page> {
    const page = await (await browser.newContext()).newPage()
    page.setDefaultTimeout(20_000)
    await signInOn(page, w, user)
    return page
  }

  test('R23 a group opens a route to alice and not to bob', async () => {
    const [alice, bob] = [await signIn('alice'), await signIn('bob')]
    await alice.click('text=GET /orders/admin/audit')
    await alice.waitForSelector(`pre:has-text('"aud": "${ORDERS_AUDIENCE}"')`)
    await bob.click('text=GET /orders/admin/audit')
    await bob.waitForSelector('#result code:has-text("FORBIDDEN")')
    await Promise.all([alice, bob].map((p) => p.context().close()))
  })

  test('a payment asks for the one-time code once, and then passes', async () => {
    const page = await signIn('alice')
    await page.click('text=GET /billing/payments/7')
    await page.waitForSelector('#result code:has-text("STEP_UP_REQUIRED")')
    await page.click('#step-up')
    await page.fill('#user', 'alice')
    await page.fill('#password', 'demo')
    await page.fill('#otp', '123456')
    await page.click('button[type=submit]')
    await page.waitForSelector('#tokens li')
    await page.click('text=GET /billing/payments/7')
    await page.waitForSelector(`pre:has-text('"aud": "https://billing.demo.example"')`)
    await page.context().close()
  })

  test('a program comes in with a token of its own, and only where the route takes such', async () => {
    const res = await fetch(`${w.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`robot:${ROBOT_SECRET}`).toString('base64')}` },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        resource: ORDERS_AUDIENCE,
        scope: 'orders.read',
      }),
    })
    const { access_token: token } = (await res.json()) as { access_token: string }
    const headers = { authorization: `Bearer ${token}` }
    assert.equal((await fetch(`${w.origin}/orders/robots/1`, { headers })).status, 200)
    assert.equal((await fetch(`${w.origin}/orders/42`, { headers })).status, 401)
    assert.equal((await fetch(`${w.origin}/orders/robots/1`, { headers: { authorization: 'Bearer x' } })).status, 401)
  })
})
