import { providerOfSession } from '../provider/of-session.ts'
import type { Provider } from '../provider/types.ts'
import type { Answer, BrowserRequest, LiveSession } from '../types.ts'
import { loginUrl } from './addresses.ts'
import { answerJson, setCookies, withHeaders, type LoginDeps } from './deps.ts'

/** Of several providers, the one that needs no asking; undefined: let the person choose. */
export function decideProvider(
  asked: Readonly<Record<string, string>>,
  session: LiveSession | undefined,
  deps: LoginDeps,
): Provider | undefined {
  const [first] = deps.providers.values()
  if (deps.providers.size === 1) return first
  const own = session === undefined ? undefined : providerOfSession(deps.providers, session.record)
  const { prompt = '' } = asked
  // A silent sign-in can show no page: whoever has no session is asked about at the default provider.
  if (prompt === 'none') return own ?? first
  // More is asked of a session: only its own provider can give that. Another account may be one of another provider.
  return prompt.split(' ').includes('select_account') ? undefined : own
}

/** The page where people choose; for a program the same as a list, from which it can draw its own. */
export function offerProviders(
  r: BrowserRequest,
  deps: LoginDeps,
  params: Readonly<Record<string, string>>,
  cookies: readonly string[],
): Answer {
  const options = [...deps.providers.values()].map(({ settings: { name, displayName } }) => ({
    name,
    displayName,
    href: loginUrl(r.origin, deps.now, { ...params, provider: name }),
  }))
  if (r.wants === 'navigation') return withHeaders(deps.pages.chooseProvider({ options }, r), setCookies(cookies))
  const providers = options.map((o) => ({ name: o.name, display_name: o.displayName, login_url: o.href }))
  return answerJson({ providers }, cookies)
}
