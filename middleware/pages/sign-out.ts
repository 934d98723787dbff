import type { LoginPages } from '../login/deps.ts'
import type { Answer, Asker } from '../types.ts'
import { chooseProvider } from './choose.ts'
import { escapeHtml, link, renderPage } from './layout.ts'
import { WORDS, pickLanguage } from './texts.ts'

/** Pages around signing out: small, and usable without JavaScript. */
export function createSignOutPages(): LoginPages {
  return {
    confirmLogout: (p, asker) => {
      const language = pickLanguage(asker.acceptLanguage)
      const words = WORDS[language]
      const form = (everywhere: boolean, label: string): string =>
        `<form method="post" action="${escapeHtml(p.action)}"><input type="hidden" name="csrf_token" value="${escapeHtml(p.csrfToken)}">${everywhere ? '<input type="hidden" name="everywhere" value="true">' : ''}<button${everywhere ? ' class="plain"' : ''} type="submit">${escapeHtml(label)}</button></form>`
      const body = `<p class="who">${escapeHtml(words.signedInAs)} <strong>${escapeHtml(p.who)}</strong></p>
<p>${escapeHtml(words.signOutText)}</p>
<div class="actions">${form(false, words.signOut)}
${form(true, words.signOutEverywhere)}</div>`
      return renderPage({ language, status: 200, title: words.signOutTitle, body, formTargets: p.formTargets })
    },
    sessions: (p, asker) => sessionsPage(p, asker),
    chooseProvider,
    notSignedIn: (p, asker) => {
      const language = pickLanguage(asker.acceptLanguage)
      const words = WORDS[language]
      return renderPage({
        language,
        status: 200,
        title: words.signedOutTitle,
        body: `<p>${escapeHtml(words.notSignedIn)}</p>\n${signInAgain(p.loginUrl, words)}`,
      })
    },
    loggedOut: (p, asker) => {
      const language = pickLanguage(asker.acceptLanguage)
      const words = WORDS[language]
      return renderPage({
        language,
        status: 200,
        title: words.signedOutTitle,
        body: `<p>${escapeHtml(words.signedOutText)}</p>\n${signInAgain(p.loginUrl, words, p.homeUrl)}`,
      })
    },
  }
}

function signInAgain(loginUrl: string, words: (typeof WORDS)['en'], homeUrl = '/'): string {
  return `<p class="actions">${link(loginUrl, words.signIn)}\n${link(homeUrl, words.home, true)}</p>`
}

function sessionsPage(p: Parameters<LoginPages['sessions']>[0], asker: Asker): Answer {
  const language = pickLanguage(asker.acceptLanguage)
  const words = WORDS[language]
  const when = (iso: string): string =>
    `<time datetime="${escapeHtml(iso)}">${escapeHtml(iso.slice(0, 16).replace('T', ' '))} UTC</time>`
  const end = (id: string): string =>
    `<form method="post" action="${escapeHtml(`${p.base}/sessions/${id}`)}"><input type="hidden" name="csrf_token" value="${escapeHtml(p.csrfToken)}"><button class="plain" type="submit">${escapeHtml(words.endThis)}</button></form>`
  const row = (s: (typeof p.rows)[number]): string =>
    `<tr><td>${escapeHtml(s.user_agent === '' ? words.unknownDevice : s.user_agent)}<br><span class="who">${escapeHtml(s.ip)}</span></td><td>${when(s.created_at)}</td><td>${when(s.last_seen_at)}</td><td>${s.current ? escapeHtml(words.thisSession) : end(s.id)}</td></tr>`
  const head = [words.device, words.signedIn, words.lastSeen]
    .map((t) => `<th scope="col">${escapeHtml(t)}</th>`)
    .join('')
  const body = `<table><thead><tr>${head}<th scope="col"><span class="sr">${escapeHtml(words.endThis)}</span></th></tr></thead><tbody>${p.rows.map(row).join('\n')}</tbody></table>
<p class="actions">${link(`${p.base}/logout`, words.signOut)}\n${link('/', words.home, true)}</p>`
  return renderPage({ language, status: 200, title: words.sessionsTitle, body })
}
