import type { Page } from 'playwright-core'
import type { World } from '../../demo/world.ts'

/** A person signs in at the demo's page, and sees which tokens there are. */
export async function signInOn(page: Page, w: Pick<World, 'origin'>, user = 'alice'): Promise<void> {
  await page.goto(w.origin)
  await page.click('#sign-in')
  await page.fill('#user', user)
  await page.fill('#password', 'demo')
  await page.click('button[type=submit]')
  await page.waitForSelector('#tokens li')
}
