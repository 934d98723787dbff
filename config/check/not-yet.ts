import type { Place } from '../finding.ts'
import type { Check } from './context.ts'

/** Keys that are part of the reference and that this version reads and does not act on: said, not passed over in silence. */
export const checkNotYet: Check = (c) => {
  const { settings } = c
  const named: (readonly [boolean, Place, string])[] = [
    [settings.server.verify_listen !== undefined, ['settings', 'server', 'verify_listen'], 'verify over HTTP/2'],
  ]
  for (const [used, at, what] of named) {
    if (!used) continue
    c.report.warn(at, {
      code: 'NOT_IN_THIS_VERSION',
      message: `${what}: this version accepts the key and does nothing with it`,
      mend: 'Leave it out until a version that has it.',
    })
  }
}
