/**
 * Loaded before each test file by `npm test`. Node waits for a test file as long as anything in it is open, and its own
 * limit of time is for tests, not for files: a server or a browser that nobody ends (because a `before` failed, say) would
 * stop the whole run. So a file has half a minute after its last test, and ten minutes in all; then it is a failure that
 * says what was still open.
 */
import { after } from 'node:test'

const AFTER_LAST_TEST_MS = Number(process.env['TEST_FILE_ENDS_WITHIN_MS'] ?? '30000')
const WHOLE_FILE_MS = 600_000

// The runner itself loads this too, and has no end but that of its files.
if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
  endIn(WHOLE_FILE_MS, 'is not through')
  after(() => {
    endIn(AFTER_LAST_TEST_MS, 'is through its tests and keeps running')
  })
}

function endIn(ms: number, what: string): void {
  setTimeout(() => {
    console.error(
      `${process.argv[1] ?? 'this file'} ${what} after ${ms / 1000} s; open: ${process.getActiveResourcesInfo().join(', ')}`,
    )
    process.exit(1)
  }, ms).unref()
}
