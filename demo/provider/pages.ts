import { createHash } from 'node:crypto'

const STYLE = `
:root{color-scheme:light dark;--bg:#eef3f1;--card:#fff;--ink:#13251f;--soft:#557067;--line:#d3e0da;--go:#0c6b4f;--go-ink:#fff}
@media (prefers-color-scheme:dark){:root{--bg:#0f1714;--card:#17211d;--ink:#e6f1ec;--soft:#9db5ab;--line:#2a3a33;--go:#5fd0a8;--go-ink:#06231a}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--bg);color:var(--ink);font:1rem/1.5 system-ui,sans-serif;padding:1rem}
main{background:var(--card);border:1px solid var(--line);border-radius:16px;padding:2rem;max-width:24rem;width:100%}
h1{font-size:1.4rem;margin:0 0 .25rem}p{color:var(--soft);margin:.25rem 0 1.25rem}label{display:block;font-weight:600;margin:.75rem 0 .25rem}
input{width:100%;font:inherit;padding:.6rem .7rem;border:1px solid var(--line);border-radius:9px;background:transparent;color:inherit}
button{font:inherit;font-weight:600;width:100%;padding:.65rem;border-radius:9px;border:1px solid var(--go);background:var(--go);color:var(--go-ink);margin-top:1.1rem;cursor:pointer}
button.plain{background:transparent;color:var(--go);margin-top:.6rem}[role=alert]{color:#b3261e;font-weight:600}
@media (prefers-color-scheme:dark){[role=alert]{color:#ff9d95}}`
export const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

const escape = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

/** A page of the demo's provider: plain, and of another colour than the app, so that one sees where one is. */
export function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escape(title)}</title><style>${STYLE}</style></head><body><main>${body}</main></body></html>`
}

export function loginPage(
  uid: string,
  o: { readonly otp: boolean; readonly failed: boolean; readonly hint: string },
): string {
  const otp = o.otp
    ? '<label for="otp">One-time code</label><input id="otp" name="otp" inputmode="numeric" autocomplete="one-time-code" placeholder="123456">'
    : ''
  return page(
    'Sign in · Demo Identity',
    `<h1>Demo Identity</h1><p>Users <b>alice</b> and <b>bob</b>, password <b>demo</b>${o.otp ? ', code <b>123456</b>' : ''}.</p>
${o.failed ? '<p role="alert">That was not right.</p>' : ''}<form method="post" action="/interaction/${uid}/login">
<label for="user">User</label><input id="user" name="user" autocomplete="username" required autofocus value="${escape(o.hint)}">
<label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password" required>${otp}
<button type="submit">Sign in</button></form>
<form method="post" action="/interaction/${uid}/refuse"><button class="plain" type="submit">No, take me back</button></form>`,
  )
}
