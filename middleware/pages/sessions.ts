import type { LoginPages } from '../login/deps.ts'
import { readDevice } from './device.ts'
import { escapeHtml, link, renderPage } from './layout.ts'
import { WORDS, pickLanguage, type Language } from './texts.ts'

type Row = Parameters<LoginPages['sessions']>[0]['rows'][number]

/** Where somebody is signed in: one item a session, each with a form that ends it, usable without JavaScript. */
export const sessionsPage: LoginPages['sessions'] = (p, asker) => {
  const language = pickLanguage(asker.acceptLanguage)
  const words = WORDS[language]
  const item = (row: Row): string => `<li>
<p><strong title="${escapeHtml(row.user_agent)}">${escapeHtml(deviceName(row.user_agent, language))}</strong>${row.current ? ` <span class="badge">${escapeHtml(words.thisSession)}</span>` : ''}</p>
<dl>${pair(words.signedIn, when(row.created_at, language))}${pair(words.lastSeen, when(row.last_seen_at, language))}${pair(words.address, escapeHtml(row.ip))}</dl>
${row.current ? '' : endForm(row)}</li>`
  // What is read aloud says which one; what is seen stands beside it.
  const endForm = (row: Row): string =>
    `<form method="post" action="${escapeHtml(`${p.base}/sessions/${row.id}`)}"><input type="hidden" name="csrf_token" value="${escapeHtml(p.csrfToken)}"><button class="plain" type="submit">${escapeHtml(words.endThis)}<span class="sr"> ${escapeHtml(deviceName(row.user_agent, language))}, ${when(row.created_at, language)}</span></button></form>`
  const body = `<ul class="sessions">\n${p.rows.map(item).join('\n')}\n</ul>
<p class="actions">${link(`${p.base}/logout`, words.signOut)}\n${link('/', words.home, true)}</p>`
  return renderPage({ language, status: 200, title: words.sessionsTitle, body })
}

function pair(term: string, value: string): string {
  return `<div><dt>${escapeHtml(term)}</dt><dd>${value}</dd></div>`
}

function deviceName(userAgent: string, language: Language): string {
  const words = WORDS[language]
  const { program, system } = readDevice(userAgent)
  if (program === undefined || system === undefined) return program ?? system ?? words.unknownDevice
  return words.programOnSystem.replace('{program}', program).replace('{system}', system)
}

/** The server does not know where the reader is, so the zone is said. */
function when(iso: string, language: Language): string {
  const text = new Date(iso).toLocaleString(language === 'de' ? 'de-DE' : 'en-GB', {
    dateStyle: 'medium',
    timeStyle: 'short',
    timeZone: 'UTC',
  })
  return `<time datetime="${escapeHtml(iso)}">${escapeHtml(text)} UTC</time>`
}
