import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import type { World } from '../../demo/world.ts'
import { startWorldAndBrowser } from '../support/browser-world.ts'
import { assertAccessible } from '../pages/axe.ts'
import { signInAt } from '../support/sign-in.ts'

let w: World
let browser: Browser
before(async () => {
  ;[w, browser] = await startWorldAndBrowser()
})
after(async () => {
  await browser.close()
  await w.stop()
})

async function open(o: Parameters<Browser['newContext']>[0]): Promise<{ context: BrowserContext; page: Page }> {
  const context = await browser.newContext(o)
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  return { context, page }
}

async function signIn(page: Page, user: string): Promise<void> {
  await page.goto(`${w.origin}/auth/login`)
  await page.fill('#user', user)
  await page.fill('#password', 'demo')
  await page.press('#password', 'Enter')
  await page.waitForURL(`${w.origin}/`)
}

/** Tabs until something with this text has the focus, and presses Enter there. */
async function press(page: Page, text: string): Promise<void> {
  for (let i = 0; i < 20; i++) {
    await page.keyboard.press('Tab')
    const focused = page.locator(':focus')
    if ((await focused.count()) > 0 && (await focused.innerText()).startsWith(text)) {
      await page.keyboard.press('Enter')
      return
    }
  }
  throw new Error(`the Tab key never comes to "${text}"`)
}

test('without JavaScript and without a mouse: another session is ended, one signs out, and comes to the page that says so', async () => {
  const { context, page } = await open({ javaScriptEnabled: false, locale: 'en-GB' })
  await signIn(page, 'alice')
  const other = await signInAt(w.origin)
  await page.goto(`${w.origin}/auth/sessions`)
  assert.equal(await page.locator('.sessions li').count(), 2)
  assert.match(await page.locator('.sessions li:has(.badge)').innerText(), /^Chrome on Linux/)
  await press(page, 'End this session')
  await page.waitForSelector('.sessions li:only-child')
  const ended = await fetch(`${w.origin}/api/auth/session`, { headers: { cookie: other } })
  assert.equal(ended.status, 401)
  await press(page, 'Sign out')
  await page.waitForSelector('h1:has-text("Sign out?")')
  await press(page, 'Sign out')
  await page.waitForURL((url) => url.origin !== w.origin || url.pathname === '/auth/logged-out')
  // The provider may ask, too.
  if (new URL(page.url()).origin !== w.origin) await page.locator('button[value=yes]').press('Enter')
  await page.waitForSelector('h1:has-text("You are signed out")')
  await page.goto(`${w.origin}/auth/logout`)
  assert.match(await page.locator('main').innerText(), /You are not signed in/)
  await context.close()
})

for (const [locale, colorScheme] of [
  ['en-GB', 'dark'],
  ['de-AT', 'light'],
] as const)
  test(`the pages that a gateway brings have no accessibility fault, and their CSP refuses nothing: ${locale}, ${colorScheme}`, async () => {
    const { context, page } = await open({ locale, colorScheme })
    const refused: string[] = []
    page.on('console', (m) => {
      if (/Content.Security.Policy/i.test(m.text())) refused.push(m.text())
    })
    const look = async (path: string, status: number, code: string | undefined): Promise<void> => {
      const res = await page.goto(w.origin + path)
      assert.deepEqual([res?.status(), res?.headers()['x-bff-error']], [status, code], path)
      assert.equal(await page.locator('html').getAttribute('lang'), locale.slice(0, 2))
      await assertAccessible(page, path)
    }
    await look('/auth/callback?code=x&state=y', 400, 'LOGIN_UNKNOWN')
    await look('/auth/nothing', 404, 'NO_ROUTE')
    await look('/auth/logged-out', 200, undefined)
    await signIn(page, 'bob')
    await look('/auth/sessions', 200, undefined)
    await look('/auth/logout', 200, undefined)
    await look('/orders/admin/audit', 403, 'FORBIDDEN')
    await look('/reports/today', 401, 'NO_TOKEN_AVAILABLE')
    await look('/api/nowhere', 403, 'NO_ROUTE')
    await context.addCookies([
      { name: 'bff_session', value: 'planted', domain: 'localhost', path: '/orders', httpOnly: true, secure: true },
    ])
    await look('/orders/1', 400, 'BAD_REQUEST')
    assert.deepEqual(refused, [])
    await context.close()
  })
