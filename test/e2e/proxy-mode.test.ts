import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { until } from '../../demo/launcher/index.ts'
import type { World } from '../../demo/world.ts'
import { startWorldAndBrowser } from '../support/browser-world.ts'
import { signInOn } from '../support/demo-page.ts'

async function signIn(page: Page, w: World): Promise<void> {
  page.setDefaultTimeout(15_000)
  await signInOn(page, w)
}

for (const store of ['sqlite', 'redis'] as const) {
  describe(`proxy mode in a real browser, through a real Traefik, with sessions in ${store}`, () => {
    let w: World
    let browser: Browser
    before(async () => {
      ;[w, browser] = await startWorldAndBrowser({ store })
    })
    after(async () => {
      await browser.close()
      await w.stop()
    })

    test('R7 R9 a rewritten path reaches the API with the token of its service and the headers of header mode', async () => {
      const page = await browser.newPage()
      await signIn(page, w)
      await page.click('text=GET /orders/42')
      await page.waitForSelector('.status.good')
      const direct = w.orders.seen.at(-1)
      await page.click('text=GET /api/orders/42')
      await page.waitForSelector('#result .line:has-text("/api/orders/42?rewritten=yes")')
      const proxied = w.orders.seen.findLast((r) => r.url.startsWith('/v1/'))
      assert.equal(proxied?.url, '/v1/orders/42?rewritten=yes')
      for (const name of [
        'authorization',
        'x-user-id',
        'x-user-email',
        'x-user-groups',
        'x-session-id',
        'x-department',
      ]) {
        assert.equal(proxied.headers[name], direct?.headers[name], name)
      }
      // Cookies know no port: the provider's own on localhost come along.
      assert.doesNotMatch(proxied.headers.cookie ?? '', /bff_session|_csrf_token|bff_login/)
      await page.close()
    })

    test('an event stream and a WebSocket are live, and both end at sign-out, in this tab and in another', async () => {
      const context = await browser.newContext()
      const [page, other] = [await context.newPage(), await context.newPage()]
      await signIn(page, w)
      other.setDefaultTimeout(15_000)
      await other.goto(w.origin)
      for (const tab of [page, other]) {
        await tab.waitForSelector('#events-state.open')
        await tab.waitForSelector('#socket-state.open')
      }
      await page.fill('#word', 'good evening')
      await page.click('#say button')
      await page.waitForSelector('#socket:has-text("orders heard: good evening")')
      await page.click('#sign-out')
      await other.waitForSelector('#events-state:not(.open)')
      await other.waitForSelector('#socket-state:has-text("session ended")')
      await page.waitForSelector('button[name=logout]')
      await context.close()
    })

    test('what the proxy refuses never reaches the API', async () => {
      const before = w.orders.seen.length
      for (const [path, init] of [
        ['/api/orders/1', {}],
        ['/api/orders/1', { method: 'POST', body: 'x' }],
        ['/api/orders/..%2f..%2fadmin', {}],
        ['/api/nowhere', {}],
      ] as const) {
        const res = await fetch(`${w.origin}${path}`, { ...init, redirect: 'manual' })
        assert.ok(res.status >= 400, path)
      }
      assert.equal(w.orders.seen.length, before)
    })

    test('an API that is gone is 502 with a code, and comes back by itself', async () => {
      const page = await browser.newPage()
      await signIn(page, w)
      const ask = (): Promise<[number, string | null]> =>
        page.evaluate("fetch('/api/billing/1').then((r) => [r.status, r.headers.get('x-bff-error')])")
      assert.deepEqual(await ask(), [200, null])
      w.billing.server.closeAllConnections()
      await new Promise((resolve) => w.billing.server.close(resolve))
      assert.deepEqual(await ask(), [502, 'UPSTREAM_UNAVAILABLE'])
      await new Promise<void>((resolve) => w.billing.server.listen(w.ports.billing, '127.0.0.1', resolve))
      await until('the API again', async () => (await ask())[0] === 200)
      await page.close()
    })
  })
}
