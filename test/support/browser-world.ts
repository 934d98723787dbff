import type { Browser } from 'playwright-core'
import { launchBrowser } from '../../demo/launcher/index.ts'
import { startWorld, type World, type WorldOptions } from '../../demo/world.ts'

/** The whole demo and a browser, started side by side; when one does not start, the other ends too. */
export async function startWorldAndBrowser(o?: WorldOptions): Promise<[World, Browser]> {
  const [world, browser] = await Promise.allSettled([startWorld(o), launchBrowser()])
  if (world.status === 'fulfilled' && browser.status === 'fulfilled') return [world.value, browser.value]
  if (world.status === 'fulfilled') await world.value.stop()
  if (browser.status === 'fulfilled') await browser.value.close()
  throw world.status === 'rejected' ? world.reason : (browser as PromiseRejectedResult).reason
}
