/** Makes docs/demo.png: the demo as somebody sees it who has signed in and called an API. */
import { join } from 'node:path'
import { launchBrowser } from './launcher/index.ts'
import { startWorld } from './world.ts'

const world = await startWorld()
const browser = await launchBrowser()
try {
  const page = await browser.newPage({ viewport: { width: 1180, height: 800 } })
  await page.goto(world.origin)
  await page.click('#sign-in')
  await page.fill('#user', 'alice')
  await page.fill('#password', 'demo')
  await page.click('button[type=submit]')
  await page.waitForSelector('#tokens li')
  await page.click('text=GET /orders/42')
  await page.waitForSelector('.columns')
  await page.screenshot({ path: join(import.meta.dirname, '..', 'docs', 'demo.png'), fullPage: true })
} finally {
  await browser.close()
  await world.stop()
}
