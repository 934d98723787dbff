import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8')

interface Found {
  readonly violations: readonly {
    readonly id: string
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
  }[]
}

/** No rule of axe, the best practices among them, finds anything on this page. It runs beside the page's own CSP. */
export async function assertAccessible(page: Page, where: string): Promise<void> {
  await page.evaluate(AXE)
  const found = await page.evaluate<Found>("axe.run({ resultTypes: ['violations'] })")
  assert.deepEqual(
    found.violations.map((v) => [v.id, v.nodes.map((n) => `${n.html} ${n.failureSummary ?? ''}`)]),
    [],
    where,
  )
}

/** What the Tab key comes to, in order, from the top of the page; each must show that it has the focus. */
export async function tabOrder(page: Page): Promise<string[]> {
  const order: string[] = []
  for (let i = 0; i < 50; i++) {
    await page.keyboard.press('Tab')
    const at = await page.evaluate<{ text: string; outline: string } | null>(`(() => {
      const e = document.activeElement
      if (e === null || e === document.body) return null
      const style = getComputedStyle(e)
      return { text: e.innerText.replace(/\\s+/g, ' ').trim(), outline: style.outlineStyle + ' ' + style.outlineWidth }
    })()`)
    if (at === null) return order
    assert.match(at.outline, /^solid [1-9]/, `the focus on "${at.text}" is seen`)
    order.push(at.text)
  }
  throw new Error(`no end of tabbing: ${order.join(' | ')}`)
}
