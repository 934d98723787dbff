import { statusOf } from '../decision.ts'
import type { Answer, Asker, ErrorAnswer, ErrorInfo } from '../types.ts'
import { escapeHtml, link, renderPage } from './layout.ts'
import { CODE_TEXTS, WORDS, pickLanguage, type Language } from './texts.ts'

/** Every no of ours: problem+json (RFC 9457) for a program, a page for a person, `X-BFF-Error` on both. */
export function createErrorAnswer(): ErrorAnswer {
  return (e, asker) => (asker.wants === 'navigation' ? errorPage(e, asker) : problem(e, asker))
}

function headersOf(e: ErrorInfo): (readonly [string, string])[] {
  const headers: (readonly [string, string])[] = [['X-BFF-Error', e.code], ...(e.headers ?? [])]
  if (e.retryAfterS !== undefined) headers.push(['Retry-After', String(Math.max(1, Math.ceil(e.retryAfterS)))])
  return headers
}

function problem(e: ErrorInfo, asker: Asker): Answer {
  const status = e.status ?? statusOf(e.code)
  const text = CODE_TEXTS.en[e.code]
  const body = JSON.stringify({
    type: `urn:traefik-bff:error:${e.code}`,
    title: text.title,
    status,
    code: e.code,
    detail: e.detail ?? text.text,
    ...(e.loginUrl === undefined ? {} : { login_url: e.loginUrl }),
    correlation_id: asker.correlationId,
  })
  return {
    status,
    headers: [
      ['Content-Type', 'application/problem+json'],
      ['Cache-Control', 'no-store'],
      ['X-Content-Type-Options', 'nosniff'],
      ...headersOf(e),
      ['Content-Length', String(Buffer.byteLength(body))],
    ],
    body,
  }
}

function errorPage(e: ErrorInfo, asker: Asker): Answer {
  const language = pickLanguage(asker.acceptLanguage)
  const text = CODE_TEXTS[language][e.code]
  const words = WORDS[language]
  const paragraphs = [
    `<p>${escapeHtml(e.clearUrl === undefined ? text.text : words.twoCookies)}</p>`,
    e.who === undefined
      ? ''
      : `<p class="who">${escapeHtml(words.signedInAs)} <strong>${escapeHtml(e.who)}</strong></p>`,
    actions(e, language),
    `<footer>${escapeHtml(words.code)} <code>${e.code}</code> · ${escapeHtml(words.reference)} <code>${escapeHtml(asker.correlationId)}</code></footer>`,
  ]
  return renderPage({
    language,
    status: e.status ?? statusOf(e.code),
    title: text.title,
    body: paragraphs.filter((p) => p !== '').join('\n'),
    headers: headersOf(e),
  })
}

function actions(e: ErrorInfo, language: Language): string {
  const words = WORDS[language]
  const links: string[] = []
  if (e.loginUrl !== undefined) links.push(link(e.loginUrl, words.signIn))
  if (e.clearUrl !== undefined) links.push(link(e.clearUrl, words.clearCookies))
  if (e.tryAgainUrl !== undefined)
    links.push(
      link(
        e.tryAgainUrl,
        e.code === 'LOGIN_NOT_ALLOWED'
          ? words.otherAccount
          : e.code === 'NO_TOKEN_AVAILABLE'
            ? words.signInAgain
            : words.tryAgain,
      ),
    )
  if (e.signOutUrl !== undefined) links.push(link(e.signOutUrl, words.signOut, true))
  links.push(link('/', words.home, true))
  return `<p class="actions">${links.join('\n')}</p>`
}
