import { createHash } from 'node:crypto'
import type { Answer } from '../types.ts'
import type { Language } from './texts.ts'

const STYLE = `
:root{color-scheme:light dark;--bg:#f4f5f7;--card:#fff;--ink:#1c2430;--soft:#566072;--line:#dfe3ea;--go:#1456c4;--go-ink:#fff}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b212a;--ink:#e9edf3;--soft:#a3aebd;--line:#2d3643;--go:#7fb0ff;--go-ink:#0b1220}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--bg);color:var(--ink);font:1rem/1.55 system-ui,sans-serif;padding:1.5rem}
main{background:var(--card);border:1px solid var(--line);border-radius:14px;max-width:40rem;width:100%;padding:2rem;overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}
p{margin:0 0 1rem}
.who,footer{color:var(--soft);font-size:.9rem}
footer{border-top:1px solid var(--line);margin-top:1.5rem;padding-top:1rem}
.actions{display:flex;flex-wrap:wrap;gap:.75rem;align-items:center}
.actions form{margin:0}
.choices{list-style:none;margin:0;padding:0;display:grid;gap:.75rem}
.choices .button{display:block}
a{color:var(--go)}
.button,button{display:inline-block;font:inherit;font-weight:600;text-decoration:none;border-radius:9px;padding:.6rem 1.1rem;border:1px solid var(--go);background:var(--go);color:var(--go-ink);cursor:pointer}
.plain{background:transparent;color:var(--go)}
a:focus-visible,button:focus-visible{outline:3px solid var(--go);outline-offset:3px}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.sessions{list-style:none;margin:0 0 1.5rem;padding:0}
.sessions li{border-top:1px solid var(--line);padding:1rem 0}
.sessions p{margin:0 0 .35rem}
.sessions form{margin-top:.75rem}
.badge{border:1px solid var(--line);border-radius:99px;color:var(--soft);font-size:.8rem;padding:.1rem .6rem;white-space:nowrap}
dl{color:var(--soft);display:flex;flex-wrap:wrap;font-size:.9rem;gap:.1rem 1.25rem;margin:0}
dl div{display:flex;gap:.4rem}
dd{margin:0}
time{white-space:nowrap}
`
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/** Text that came from outside, or could have: nothing of it is markup afterwards. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
}

export interface PageParts {
  readonly language: Language
  readonly status: number
  readonly title: string
  /** Markup, escaped by whoever made it. */
  readonly body: string
  /** Origins besides our own that a form of this page may lead to, through redirects too (CSP form-action). */
  readonly formTargets?: readonly string[]
  readonly headers?: readonly (readonly [name: string, value: string])[]
  /** Where the page goes on to at once, without JavaScript. */
  readonly goesTo?: string
}

/**
 * A small page that works without JavaScript, under a CSP that allows none. HSTS and upgrade-insecure-requests are the
 * gateway's to send. Referrer to ourselves alone: with none a
 * browser would send `Origin: null` with the form.
 */
export function renderPage(p: PageParts): Answer {
  const csp = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action ${["'self'", ...(p.formTargets ?? [])].join(' ')}; frame-ancestors 'none'; base-uri 'none'`
  const goesTo = p.goesTo === undefined ? '' : `<meta http-equiv="refresh" content="0;url=${escapeHtml(p.goesTo)}">`
  const html = `<!doctype html>
<html lang="${p.language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">${goesTo}<title>${escapeHtml(p.title)}</title><style>${STYLE}</style></head>
<body><main><h1>${escapeHtml(p.title)}</h1>
${p.body}
</main></body>
</html>
`
  return {
    status: p.status,
    headers: [
      ['Content-Type', 'text/html; charset=utf-8'],
      ['Content-Security-Policy', csp],
      ['Cache-Control', 'no-store'],
      ['X-Content-Type-Options', 'nosniff'],
      ['X-Frame-Options', 'DENY'],
      ['Referrer-Policy', 'same-origin'],
      ['Content-Language', p.language],
      ['Vary', 'Accept, Accept-Language, Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest'],
      ...(p.headers ?? []),
      ['Content-Length', String(Buffer.byteLength(html))],
    ],
    body: html,
  }
}

export function link(href: string, text: string, plain = false): string {
  return `<a class="button${plain ? ' plain' : ''}" href="${escapeHtml(href)}">${escapeHtml(text)}</a>`
}
