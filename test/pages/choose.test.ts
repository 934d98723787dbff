import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Browser } from 'playwright-core'
import { launchBrowser } from '../../demo/launcher/index.ts'
import { createSignOutPages } from '../../middleware/pages/sign-out.ts'

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8')
let browser: Browser
before(async () => {
  browser = await launchBrowser()
})
after(() => browser.close())

for (const language of ['en', 'de'] as const)
  for (const colorScheme of ['light', 'dark'] as const)
    test(`the page that lets people choose a provider has no accessibility fault, in ${language} and ${colorScheme}`, async () => {
      const answer = createSignOutPages().chooseProvider(
        {
          options: [
            { name: 'main', displayName: 'Customers & <friends>', href: '/auth/login?provider=main' },
            { name: 'staff', displayName: 'Staff', href: '/auth/login?provider=staff' },
          ],
        },
        { wants: 'navigation', acceptLanguage: language, correlationId: 'c' },
      )
      const page = await browser.newPage({ colorScheme, viewport: { width: 320, height: 600 } })
      await page.setContent(answer.body ?? '')
      assert.deepEqual(await page.locator('main li a').allInnerTexts(), ['Customers & <friends>', 'Staff'])
      await page.addScriptTag({ content: AXE })
      const violations = await page.evaluate('axe.run().then((r) => r.violations.map((v) => v.id))')
      assert.deepEqual(violations, [])
      await page.close()
    })
