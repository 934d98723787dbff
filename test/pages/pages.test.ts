import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Browser } from 'playwright-core'
import { launchBrowser } from '../../demo/launcher/index.ts'
import { createErrorAnswer } from '../../middleware/pages/errors.ts'
import { createSignOutPages } from '../../middleware/pages/sign-out.ts'
import { CODE_TEXTS } from '../../middleware/pages/texts.ts'
import type { Answer, Asker, ErrorInfo } from '../../middleware/types.ts'
import { assertAccessible, tabOrder } from './axe.ts'

const LONG = 'a-very-long-name-that-nobody-can-break-'.repeat(6)
const NASTY = `<script>document.title='owned'</script>"'&`
const asker = (language: string): Asker => ({
  wants: 'navigation',
  acceptLanguage: language,
  correlationId: '0af7651916cd43dd8448eb211c80319c',
})
const pages = createSignOutPages()
const session = (id: string, current: boolean, user_agent: string, ip: string) => ({
  id,
  current,
  created_at: '2026-11-25T08:05:00.000Z',
  last_seen_at: '2026-11-25T15:41:00.000Z',
  user_agent,
  ip,
})
const ROWS = [
  session('a', true, 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0', '203.0.113.7'),
  session(
    'b',
    false,
    'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1',
    '2001:db8:1:2:3:4:5:6',
  ),
  session('c', false, NASTY, '198.51.100.1'),
  session('d', false, '', 'unknown'),
]

/** Every page of ours by a name. The errors come with all that a page of theirs can hold. */
function everyPage(language: string): ReadonlyMap<string, Answer> {
  const a = asker(language)
  const error = createErrorAnswer()
  const all: ErrorInfo = {
    code: 'FORBIDDEN',
    loginUrl: '/auth/login',
    tryAgainUrl: '/auth/login?x',
    signOutUrl: '/auth/logout',
    who: LONG,
  }
  return new Map<string, Answer>([
    ...Object.keys(CODE_TEXTS.en).map((code) => [code, error({ ...all, code: code as ErrorInfo['code'] }, a)] as const),
    ['two cookies', error({ code: 'BAD_REQUEST', clearUrl: '/auth/login', who: NASTY }, a)],
    ['bare error', error({ code: 'NO_ROUTE', status: 404 }, a)],
    [
      'chooseProvider',
      pages.chooseProvider(
        {
          options: ['Customers & <friends>', LONG, NASTY].map((displayName, i) => ({
            name: `p${i}`,
            displayName,
            href: `/auth/login?provider=p${i}`,
          })),
        },
        a,
      ),
    ],
    [
      'confirmLogout',
      pages.confirmLogout(
        { action: '/auth/logout', csrfToken: NASTY, who: LONG, formTargets: ['https://idp.example'] },
        a,
      ),
    ],
    ['notSignedIn', pages.notSignedIn({ loginUrl: '/auth/login' }, a)],
    ['leaving', pages.leaving({ url: 'https://idp.example/logout?client_id=a&state=b' }, a)],
    ['loggedOut', pages.loggedOut({ loginUrl: '/auth/login' }, a)],
    ['sessions', pages.sessions({ rows: ROWS, base: '/auth', csrfToken: 'x' }, a)],
  ])
}

let browser: Browser
let server: Server
let origin = ''
before(async () => {
  server = createServer((req, res) => {
    const url = new URL(req.url ?? '/', 'http://x')
    const answer = everyPage(url.searchParams.get('l') ?? 'en').get(url.searchParams.get('p') ?? '')
    res.writeHead(answer?.status ?? 404, (answer?.headers ?? []).flat()).end(answer?.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  browser = await launchBrowser()
})
after(async () => {
  await browser.close()
  server.closeAllConnections()
  server.close()
})

const at = (name: string, language: string): string =>
  `${origin}/?${new URLSearchParams({ p: name, l: language }).toString()}`

// Errors differ in their words alone: each is seen in both languages and both schemes, but not in all pairs of them.
for (const [language, colorScheme, full] of [
  ['en', 'light', true],
  ['de', 'dark', true],
  ['en', 'dark', false],
  ['de', 'light', false],
] as const)
  test(`axe finds nothing on any page of ours, and none is wider than a small screen: ${language}, ${colorScheme}`, async () => {
    const context = await browser.newContext({
      colorScheme,
      viewport: { width: 320, height: 640 },
    })
    // A page that goes on by itself is looked at before it does.
    await context.route('https://idp.example/**', (route) => route.fulfill({ status: 204 }))
    const page = await context.newPage()
    const refused: string[] = []
    page.on('console', (m) => refused.push(m.text()))
    for (const [name, answer] of everyPage(language)) {
      if (!full && name in CODE_TEXTS.en && name !== 'FORBIDDEN') continue
      await page.goto(at(name, language))
      assert.equal(await page.locator('html').getAttribute('lang'), language, name)
      assert.notEqual(await page.title(), 'owned', name)
      assert.equal(await page.locator('script').count(), 0, name)
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 320, `${name} fits`)
      await assertAccessible(page, name)
      assert.doesNotMatch(answer.body ?? '', / style=| on\w+="/, name)
    }
    assert.deepEqual(
      refused.filter((text) => /Content.Security.Policy/i.test(text)),
      [],
      'the CSP refuses nothing that a page has',
    )
    await context.close()
  })

describe('the Tab key', () => {
  for (const [name, order] of [
    ['chooseProvider', ['Customers & <friends>', LONG, NASTY]],
    ['confirmLogout', ['Sign out', 'Sign out everywhere']],
    ['loggedOut', ['Sign in', 'Go to the start page']],
    ['FORBIDDEN', ['Sign in', 'Try again', 'Sign out', 'Go to the start page']],
    ['two cookies', ['Clear and sign in', 'Go to the start page']],
    [
      'sessions',
      [
        'End this session Safari on iPhone, 25 Nov 2026, 08:05 UTC',
        'End this session Unknown device, 25 Nov 2026, 08:05 UTC',
        'End this session Unknown device, 25 Nov 2026, 08:05 UTC',
        'Sign out',
        'Go to the start page',
      ],
    ],
  ] as const)
    test(`comes to everything on "${name}" from top to bottom, and the focus is seen`, async () => {
      for (const colorScheme of ['light', 'dark'] as const) {
        const context = await browser.newContext({ colorScheme })
        const page = await context.newPage()
        await page.goto(at(name, 'en'))
        assert.deepEqual(await tabOrder(page), order)
        await context.close()
      }
    })
})

test('every page says no-store, what it varies with, and a CSP without script; HSTS is left to the gateway', () => {
  for (const [name, answer] of everyPage('en')) {
    const header = (wanted: string): string => answer.headers.find(([n]) => n.toLowerCase() === wanted)?.[1] ?? ''
    assert.equal(header('cache-control'), 'no-store', name)
    assert.match(header('vary'), /Accept-Language.*Cookie/, name)
    const csp = header('content-security-policy')
    assert.match(
      csp,
      /^default-src 'none'; style-src 'sha256-[\w+/=]+'; form-action 'self'.*; frame-ancestors 'none'; base-uri 'none'$/,
    )
    assert.doesNotMatch(csp, /script-src|unsafe|upgrade-insecure-requests/)
    assert.equal(csp.includes('https://idp.example'), name === 'confirmLogout', name)
    assert.equal(header('strict-transport-security'), '')
  }
})

test('no page is left out here', () => {
  const names = new Set(everyPage('en').keys())
  for (const name of [...Object.keys(pages), ...Object.keys(CODE_TEXTS.en)]) assert.ok(names.has(name), name)
})
