import type { LoginPages } from '../login/deps.ts'
import { link, renderPage } from './layout.ts'
import { WORDS, pickLanguage } from './texts.ts'

/** One link a provider: it works without JavaScript, and each keeps where the person was going. */
export const chooseProvider: LoginPages['chooseProvider'] = (p, asker) => {
  const language = pickLanguage(asker.acceptLanguage)
  const items = p.options.map((o) => `<li>${link(o.href, o.displayName)}</li>`).join('\n')
  return renderPage({
    language,
    status: 200,
    title: WORDS[language].chooseTitle,
    body: `<ul class="choices">\n${items}\n</ul>`,
  })
}
