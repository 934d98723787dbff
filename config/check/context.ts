import type { Report } from '../finding.ts'
import type { Draft } from '../schema/schema.ts'

/** What a check has at hand. Checks only report; a value that is missing here was reported before. */
export interface CheckContext extends Draft {
  readonly report: Report
  /** Text of a file named in the settings; a path is relative to the config directory. Undefined where it cannot be read. */
  readonly readFile: (path: string) => string | undefined
}

/** A check looks at both files at once, and says what does not fit together. */
export type Check = (c: CheckContext) => void
