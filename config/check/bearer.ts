import type { Check } from './context.ts'
import { providersOf } from './providers.ts'

/**
 * An id token has the login client's id as its `aud`, and some providers give it no other mark. A bearer issuer with that
 * audience would take every user's id token for a machine's access token.
 */
export const checkBearerIssuers: Check = (c) => {
  const logins = providersOf(c.settings).map(({ provider }) => `${bare(provider.issuer)} ${provider.client_id ?? ''}`)
  for (const [name, b] of Object.entries(c.settings.bearer_issuers))
    if (b.issuer !== undefined && logins.includes(`${bare(b.issuer)} ${b.audience ?? ''}`))
      c.report.fault(['settings', 'bearer_issuers', name, 'audience'], {
        code: 'BEARER_AUDIENCE',
        message: 'this is the login client’s id at the same issuer: id tokens of users would pass as machine callers',
        mend: 'Have the issuer give access tokens an audience of their own, and name that.',
      })
}

const bare = (issuer: URL | undefined): string => issuer?.href.replace(/\/$/, '') ?? ''
