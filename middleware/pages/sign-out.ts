import type { LoginPages } from '../login/deps.ts'
import { chooseProvider } from './choose.ts'
import { escapeHtml, link, renderPage } from './layout.ts'
import { sessionsPage } from './sessions.ts'
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
    sessions: sessionsPage,
    chooseProvider,
    leaving: (p, asker) => {
      const language = pickLanguage(asker.acceptLanguage)
      const words = WORDS[language]
      const body = `<p>${escapeHtml(words.leavingText)}</p>\n<p class="actions">${link(p.url, words.goOn)}</p>`
      return renderPage({ language, status: 200, title: words.signedOutTitle, body, goesTo: p.url })
    },
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
