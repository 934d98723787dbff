import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import helmet from 'helmet'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { startWorld, type World } from '../../demo/world.ts'
import { startWorldAndBrowser } from '../support/browser-world.ts'
import { signInOn } from '../support/demo-page.ts'

const SECRETS = ['demo-only-client-secret', 'demo-only-session-secret']
/** Any JWS in compact form. */
const JWT = /eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*/

/** Everything that reached a page of ours, as text: URLs, headers and bodies of answers, and what scripts can read. */
interface Seen {
  readonly url: string
  readonly text: string
}

async function watched(browser: Browser, w: World): Promise<{ context: BrowserContext; page: Page; seen: Seen[] }> {
  const context = await browser.newContext()
  const seen: Seen[] = []
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  page.on('response', (res) => {
    // The provider's own pages are the provider's business; what comes back to us is ours.
    if (!res.url().startsWith(w.origin)) return
    void (async () => {
      const headers = await res.allHeaders().catch(() => ({}))
      const body = await res.text().catch(() => '')
      seen.push({ url: res.url(), text: `${JSON.stringify(headers)}\n${body}` })
    })()
  })
  return { context, page, seen }
}

/** The page after signing out; the provider brings our `state` back to it. */
const isLoggedOut =
  (w: World) =>
  (url: URL): boolean =>
    url.origin === w.origin && url.pathname === '/auth/logged-out'
/** What an app gets that says `app.use(helmet())` and no more. */
function helmetHeaders(): Record<string, string> {
  const headers: Record<string, string> = {}
  const res = { setHeader: (name: string, value: string) => (headers[name] = value), removeHeader: () => undefined }
  helmet()(undefined as never, res as never, () => undefined)
  return headers
}
const result = (page: Page): Promise<string> => page.innerText('#result')

for (const store of ['sqlite', 'redis'] as const) {
  describe(`header mode in a real browser, through a real Traefik, with sessions in ${store}`, () => {
    let w: World
    let browser: Browser
    before(async () => {
      ;[w, browser] = await startWorldAndBrowser({ store })
    })
    after(async () => {
      await browser.close()
      await w.stop()
    })

    test('R4 R9 a person signs in, and each API receives who it is and a token for exactly its own audience', async () => {
      const { page, context } = await watched(browser, w)
      await signInOn(page, w)
      assert.match(await page.innerText('#facts'), /alice@demo\.example/)
      assert.deepEqual((await page.locator('#tokens li').allInnerTexts()).sort(), ['billing', 'orders'])
      for (const [button, audience] of [
        ['GET /orders/42', 'https://orders.demo.example'],
        ['GET /billing/invoices', 'https://billing.demo.example'],
      ] as const) {
        await page.click(`text=${button}`)
        await page.waitForSelector(`pre:has-text('"aud": "${audience}"')`)
        const shown = await result(page)
        assert.match(shown, /"x-user-id": "alice"/)
        assert.match(shown, /"x-user-groups": "staff,admins"/)
        assert.match(shown, /"x-department": "Logistics"/)
      }
      const cookies = w.orders.seen.map((s) => s.headers.cookie ?? '').join()
      assert.doesNotMatch(cookies, /bff_session|_csrf_token|bff_login/)
      await context.close()
    })

    test('R5 R10 a service without a token and a POST without the CSRF token are refused before the API sees them', async () => {
      const { page, context } = await watched(browser, w)
      await signInOn(page, w, 'bob')
      await page.click('text=GET /reports/today')
      await page.waitForSelector('text=NO_TOKEN_AVAILABLE')
      assert.match(await result(page), /401/)
      const before = w.orders.seen.filter((s) => s.method === 'POST').length
      await page.click('text=POST /orders without it')
      await page.waitForSelector('text=CSRF_FAILED')
      assert.equal(w.orders.seen.filter((s) => s.method === 'POST').length, before)
      await page.click('text=POST /orders with the CSRF token')
      await page.waitForSelector(`pre:has-text('"x-user-id": "bob"')`)
      assert.equal(w.orders.seen.filter((s) => s.method === 'POST').length, before + 1)
      await context.close()
    })

    test('R1 signing out ends the session here and at the provider, and a copied cookie is worth nothing', async () => {
      const { page, context } = await watched(browser, w)
      await signInOn(page, w)
      const copied = (await context.cookies()).find((c) => c.name === 'bff_session')
      assert.ok(copied)
      await page.click('#sign-out')
      await page.click('button[name=logout]')
      await page.waitForURL(isLoggedOut(w))
      const res = await fetch(`${w.origin}/orders/1`, { headers: { cookie: `bff_session=${copied.value}` } })
      assert.equal(res.status, 401)
      await page.goto(w.origin)
      await page.waitForSelector('#sign-in')
      await page.click('#sign-in')
      await page.waitForSelector('#password', { state: 'visible' })
      await context.close()
    })

    test('a form without JavaScript signs out too', async () => {
      const context = await browser.newContext({ javaScriptEnabled: false })
      const page = await context.newPage()
      await page.goto(`${w.origin}/orders/7?a=1`)
      await page.fill('#user', 'alice')
      await page.fill('#password', 'demo')
      await page.click('button[type=submit]')
      assert.equal(page.url(), `${w.origin}/orders/7?a=1`, 'a navigation comes back to where it was going')
      await page.goto(`${w.origin}/auth/logout`)
      await page.click('main form button')
      await page.click('button[name=logout]')
      assert.ok(isLoggedOut(w)(new URL(page.url())), page.url())
      assert.equal((await page.goto(`${w.origin}/api/auth/session`))?.status(), 401)
      await context.close()
    })

    test('a form on a page with all of helmet’s headers signs out here and at the provider', async () => {
      const { page, context } = await watched(browser, w)
      await signInOn(page, w)
      const { csrf_token: token } = (await (await page.request.get(`${w.origin}/auth/csrf`)).json()) as {
        csrf_token: string
      }
      const body = `<form method="post" action="/auth/logout"><input name="csrf_token" value="${token}"><button>Out</button></form>`
      await page.route(`${w.origin}/account`, (route) =>
        route.fulfill({ contentType: 'text/html', headers: helmetHeaders(), body }),
      )
      await page.goto(`${w.origin}/account`)
      await page.click('button')
      await page.click('button[name=logout]')
      await page.waitForURL(isLoggedOut(w))
      assert.equal((await page.goto(`${w.origin}/api/auth/session`))?.status(), 401)
      await context.close()
    })

    test('R21 whoever refuses at the provider gets a page that says so and offers another try', async () => {
      const { page, context } = await watched(browser, w)
      await page.goto(`${w.origin}/auth/login?return_to=/orders/1`)
      await page.click('text=No, take me back')
      await page.waitForSelector('text=ACCESS_DENIED')
      await page.click('a:has-text("Try again")')
      await page.waitForSelector('#password')
      await context.close()
    })

    test('R3 in a whole session no JWT, verifier or secret reaches the browser, and the code only in the URL of the callback', async () => {
      const { page, context, seen } = await watched(browser, w)
      const urls: string[] = []
      page.on('request', (req) => urls.push(req.url()))
      await signInOn(page, w)
      for (const button of [
        'GET /orders/42',
        'GET /billing/invoices',
        'GET /reports/today',
        'POST /orders with the CSRF token',
      ]) {
        await page.click(`text=${button}`)
        await page.waitForSelector('.status')
      }
      await page.goto(`${w.origin}/reports/x`)
      await page.goto(w.origin)
      await page.waitForSelector('#tokens li')
      const readable = await page.evaluate(
        'JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }, document.documentElement.outerHTML])',
      )
      const cookies = await context.cookies()
      await page.click('#sign-out')
      await page.waitForSelector('button[name=logout]')
      const callback = new URL(urls.find((u) => u.startsWith(`${w.origin}/auth/callback`)) ?? '')
      const code = callback.searchParams.get('code')
      assert.ok(code !== null && code.length > 10)
      const everything = [
        ...seen.map((s) => s.text),
        String(readable),
        JSON.stringify(cookies),
        ...urls.filter((u) => !u.startsWith(callback.href)),
      ]
      for (const text of everything) {
        assert.doesNotMatch(text, JWT)
        assert.ok(!text.includes(code), 'the code is only in the URL of the callback')
        for (const secret of SECRETS) assert.ok(!text.includes(secret))
        assert.doesNotMatch(text, /code_verifier|refresh_token|access_token|id_token/)
      }
      assert.ok(!String(readable).includes('bff_session'), 'no script can read the session cookie')
      const logged = w.logs.map((l) => JSON.stringify(l)).join('\n') + w.accessLog.join('\n')
      assert.doesNotMatch(logged, JWT)
      const session = cookies.find((c) => c.name === 'bff_session')?.value ?? 'none'
      for (const secret of [...SECRETS, session, code])
        assert.ok(!logged.replace(/"RequestPath":"\/auth\/callback[^"]*"/g, '').includes(secret))
      await context.close()
    })

    test('R15 a new service works after a restart and a new sign-in, and nothing else is cleared', async () => {
      const own = await startWorld({
        store,
        settings: (s) => {
          delete (s['service_tokens'] as Record<string, unknown>)['billing']
        },
      })
      try {
        const { page, context } = await watched(browser, own)
        await signInOn(page, own)
        assert.deepEqual(await page.locator('#tokens li').allInnerTexts(), ['orders'])
        await own.writeConfig({})
        await own.restartService()
        await page.reload()
        await page.waitForSelector('#tokens li')
        await page.click('text=GET /orders/42')
        await page.waitForSelector('.status.good')
        await page.goto(`${own.origin}/auth/login?prompt=login&return_to=/`)
        await page.fill('#user', 'alice')
        await page.fill('#password', 'demo')
        await page.click('button[type=submit]')
        await page.waitForSelector('#tokens li >> text=billing')
        await page.click('text=GET /billing/invoices')
        await page.waitForSelector(`pre:has-text('"aud": "https://billing.demo.example"')`)
        await context.close()
      } finally {
        await own.stop()
      }
    })
  })
}
