import { Refused } from '../finding.ts'
import type { Place } from '../finding.ts'
import { parseClaimPath } from '../values/claim-path.ts'
import { parseHeaderName } from '../values/words.ts'
import type { Check, CheckContext } from './context.ts'
import { publicUrls } from './public-urls.ts'

/** Header names are keys here, which a schema can only match with a pattern: too little to say what is wrong. */
export const checkIdentity: Check = (c) => {
  const seen = new Set<string>()
  for (const [name, path] of Object.entries(c.settings.identity_headers.map)) {
    const at: Place = ['settings', 'identity_headers', 'map', name]
    const got = parseHeaderName(name)
    if (got instanceof Refused) c.report.fault(at, got.problem)
    else if (seen.has(name.toLowerCase()))
      c.report.fault(at, {
        code: 'HEADER_TWICE',
        message: 'this header stands here twice: case makes no difference',
        mend: 'Keep one.',
      })
    seen.add(name.toLowerCase())
    const parsedPath = parseClaimPath(path)
    if (parsedPath instanceof Refused) c.report.fault(at, parsedPath.problem)
  }
  checkOwnIssuer(c)
}

/** What we sign for upstreams must never count as a caller's token: nobody may name us as an issuer of those. */
function checkOwnIssuer(c: CheckContext): void {
  const ours = new Set(publicUrls(c.settings).map(({ url }) => url.hostname.replace(/^\*\./, '') + url.port))
  for (const [name, b] of Object.entries(c.settings.bearer_issuers)) {
    const { issuer } = b
    if (issuer === undefined || issuer.pathname !== '/' || !ours.has(issuer.hostname + issuer.port)) continue
    c.report.fault(['settings', 'bearer_issuers', name, 'issuer'], {
      code: 'OWN_ISSUER',
      message: 'this is our own origin, which signs identity assertions for upstreams and no access tokens',
      mend: 'Name the issuer that the machines get their tokens from.',
    })
  }
}
