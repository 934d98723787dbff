import { Refused } from '../finding.ts'
import type { Place } from '../finding.ts'
import { parseHeaderName } from '../values/words.ts'
import type { Check } from './context.ts'

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
    if (path.split('.').includes(''))
      c.report.fault(at, {
        code: 'CLAIM_PATH',
        message: 'this is no dotted path into the claims',
        mend: 'Write department.name.',
      })
  }
}
