import { Refused } from '../finding.ts'
import type { Place } from '../finding.ts'
import { suggest } from '../suggest.ts'
import {
  ASSERTION_HEADER,
  CORRELATION_HEADER,
  ISSUER_HEADER,
  PRESETS,
  type HeaderSource,
} from '../values/header-presets.ts'
import { parseClaimPath } from '../values/claim-path.ts'
import { parseHeaderName } from '../values/words.ts'
import type { Check, CheckContext } from './context.ts'
import { providersOf } from './providers.ts'
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
    else if (OURS.has(name.toLowerCase()))
      c.report.fault(at, {
        code: 'RESERVED_HEADER',
        message: `\`${name}\` is one that we set ourselves, or keep from upstreams`,
        mend: 'Choose a name such as X-Department.',
      })
    seen.add(name.toLowerCase())
    const parsedPath = parseClaimPath(path)
    if (parsedPath instanceof Refused) c.report.fault(at, parsedPath.problem)
  }
  checkOwnIssuer(c)
  checkLists(c)
  checkIssuerTold(c)
}

const SUBJECT: readonly HeaderSource[] = ['user', 'sub', 'preferred_username']

/** Two issuers may each have an `alice`: a service that is told the name alone takes one for the other. */
function checkIssuerTold(c: CheckContext): void {
  const { service_tokens: services, bearer_issuers: bearers, identity_headers: identity } = c.settings
  const issuers = [
    ...providersOf(c.settings).map((p) => p.provider.issuer),
    ...Object.values(bearers).map((b) => b.issuer),
  ]
  if (new Set(issuers.map((i) => i?.href.replace(/\/$/, ''))).size < 2) return
  const whose = new Set(
    Object.entries(PRESETS[identity.preset]).flatMap(([name, from]) =>
      SUBJECT.includes(from) ? [name.toLowerCase()] : [],
    ),
  )
  for (const [service, { identity_headers: list }] of Object.entries(services)) {
    const names = list?.map((n) => n.toLowerCase()) ?? []
    const told = names.includes(ISSUER_HEADER.toLowerCase()) || names.includes(ASSERTION_HEADER.toLowerCase())
    if (told || !names.some((n) => whose.has(n))) continue
    c.report.warn(['settings', 'service_tokens', service, 'identity_headers'], {
      code: 'ISSUER_NOT_TOLD',
      message: `\`${service}\` is told who a user is and not at which issuer: several may have one of that name`,
      mend: `Add ${ISSUER_HEADER} to its identity_headers.`,
    })
  }
}

/** A name that nothing sets is most often another preset's, or a slip: the service would wait for it. */
function checkLists(c: CheckContext): void {
  const { preset, map, assertion } = c.settings.identity_headers
  const known = [...Object.keys(PRESETS[preset]), ...Object.keys(map), ...ALWAYS_KNOWN]
  for (const [name, service] of Object.entries(c.settings.service_tokens))
    for (const [i, header] of (service.identity_headers ?? []).entries()) {
      const at: Place = ['settings', 'service_tokens', name, 'identity_headers', i]
      const same = (h: string): boolean => h.toLowerCase() === header.toLowerCase()
      if (same(ASSERTION_HEADER) && !assertion.enabled)
        c.report.warn(at, {
          code: 'ASSERTION_OFF',
          message: `\`${name}\` asks for \`${ASSERTION_HEADER}\`, which is off`,
          mend: 'Set identity_headers.assertion.enabled, or remove it here.',
        })
      if (known.some(same)) continue
      const near = suggest(header, known)
      const other = Object.entries(PRESETS).find(([, headers]) => Object.keys(headers).some(same))?.[0]
      c.report.fault(at, {
        code: 'UNKNOWN_HEADER',
        message:
          other === undefined
            ? `no header of this name is set: neither the preset \`${preset}\` has it nor \`map\``
            : `this header is the preset \`${other}\`’s, and the preset here is \`${preset}\``,
        mend:
          near === undefined
            ? 'Name one of the preset, or add it to identity_headers.map.'
            : `Did you mean \`${near}\`?`,
      })
    }
}

/** Not for a map: one header has one value. */
const OURS = new Set([
  'x-csrf-token',
  ...[ASSERTION_HEADER, CORRELATION_HEADER, ISSUER_HEADER].map((h) => h.toLowerCase()),
])
const ALWAYS_KNOWN = [ASSERTION_HEADER, CORRELATION_HEADER, ISSUER_HEADER]

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
