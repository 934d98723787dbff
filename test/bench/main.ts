/** `npm run bench`: figures side by side, as ratios. `-- websockets [count]`: memory of idle WebSockets; `-- refresh`: what an expired token costs; `-- revocation`: how soon a sign-out counts everywhere; `-- login-flood`: what sign-ins that nobody finishes leave behind. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const [what = 'websockets', ...rest] = process.argv.slice(2)
const known = ['websockets', 'refresh', 'revocation', 'login-flood']
if (!known.includes(what)) {
  console.error(`bench: no bench "${what}". There is: ${known.join(', ')}`)
  process.exit(2)
}
process.exit(
  spawnSync(process.execPath, [join(import.meta.dirname, `${what}.ts`), ...rest], { stdio: 'inherit' }).status ?? 1,
)
