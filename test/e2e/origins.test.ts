import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { launchBrowser } from '../../demo/launcher/index.ts'
import { startWorld, type World } from '../../demo/world.ts'

/** A world whose public hosts are all of `*.apps.localhost`. */
async function startHosts(registeredHosts: readonly string[], loginHost?: string): Promise<World> {
  return startWorld({
    registeredHosts,
    settings: (s) => {
      const server = s['server'] as Record<string, unknown>
      const { port } = new URL(String(server['public_url']))
      delete server['public_url']
      server['public_urls'] = [`http://*.apps.localhost:${port}`]
      if (loginHost === undefined) return
      server['login_url'] = `http://${loginHost}:${port}`
      Object.assign(s['session'] as object, { cookie_domain: 'apps.localhost' })
    },
  })
}

const at = (w: World, name: string): string => `http://${name}.apps.localhost:${w.ports.traefik}`

async function fillIn(page: Page): Promise<void> {
  await page.fill('#user', 'alice')
  await page.fill('#password', 'demo')
  await page.click('button[type=submit]')
}

/** Every document that the page got from now on: what a person could have seen or clicked. */
function documents(page: Page): { readonly url: string; readonly status: number }[] {
  const seen: { url: string; status: number }[] = []
  page.on('response', (res) => {
    if (res.request().resourceType() === 'document') seen.push({ url: res.url(), status: res.status() })
  })
  return seen
}

/** A browser that signed in on its way to `one`, and what it is shown from then on. */
async function signedInAtOne(
  browser: Browser,
  w: World,
): Promise<{ context: BrowserContext; page: Page; seen: ReturnType<typeof documents> }> {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${at(w, 'one')}/orders/1`)
  await fillIn(page)
  assert.equal(page.url(), `${at(w, 'one')}/orders/1`)
  return { context, page, seen: documents(page) }
}

describe('many hosts behind one service, in a real browser through a real Traefik', () => {
  let browser: Browser
  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser.close())

  test('R6 with each host on its own, whoever is signed in at one gets to another by redirects alone', async () => {
    const w = await startHosts(['one.apps.localhost', 'two.apps.localhost'])
    try {
      const { context, page, seen } = await signedInAtOne(browser, w)
      const res = await page.goto(`${at(w, 'two')}/orders/2?a=b`)
      assert.deepEqual([res?.status(), page.url()], [200, `${at(w, 'two')}/orders/2?a=b`])
      assert.deepEqual(
        seen.slice(0, -1).filter((d) => d.status < 300 || d.status > 303),
        [],
        'no page, no click',
      )
      assert.ok(
        seen.some((d) => d.url.startsWith(w.issuer)),
        'by way of the provider',
      )
      const cookies = (await context.cookies()).filter((c) => c.name === 'bff_session')
      assert.deepEqual(cookies.map((c) => c.domain).sort(), ['one.apps.localhost', 'two.apps.localhost'])
      assert.equal(new Set(cookies.map((c) => c.value)).size, 2)
    } finally {
      await w.stop()
    }
  })

  test('R6 with one login host, people sign in there once for all hosts, and sign out from any; the provider knows one redirect URI', async () => {
    const w = await startHosts(['login.apps.localhost'], 'login.apps.localhost')
    try {
      const { page, seen } = await signedInAtOne(browser, w)
      await page.goto(at(w, 'two'))
      await page.waitForSelector('#tokens li')
      assert.equal(seen.length, 1, 'already signed in: no redirect at all')
      await page.click('text=POST /orders with the CSRF token')
      await page.waitForSelector(`pre:has-text('"x-user-id": "alice"')`)
      await page.click('#sign-out')
      await page.click('button[name=logout]')
      await page.waitForURL(`${at(w, 'login')}/auth/logged-out*`)
      await page.click('a.plain')
      assert.equal(page.url(), `${at(w, 'two')}/`, 'home is where the sign-out was asked')
      await page.waitForSelector('#sign-in')
      assert.equal((await page.goto(`${at(w, 'one')}/api/auth/session`))?.status(), 401)
      await page.goto(at(w, 'two'))
      await page.click('#sign-in')
      await fillIn(page)
      await page.waitForSelector('#tokens li')
      assert.equal(page.url(), `${at(w, 'two')}/`)
      await page.goto(`${at(w, 'one')}/auth/logout`)
      await page.click('main form button')
      await page.click('button[name=logout]')
      await page.waitForURL(`${at(w, 'login')}/auth/logged-out*`)
    } finally {
      await w.stop()
    }
  })
})
