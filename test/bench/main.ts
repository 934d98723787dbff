/** `npm run bench -- <what>`: figures side by side, as ratios. A table goes to standard error, JSON to standard output. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const BENCHES: Readonly<Record<string, string>> = {
  verify: 'our verify against node:http, Express + express-session, oauth2-proxy [rounds]',
  traefik: 'through a real Traefik: our check, a null server, oauth2-proxy, no check [rounds] [connections]',
  proxy: 'our proxy mode against http-proxy alone and nginx, and what each part costs [rounds] [requests]',
  steps: 'processor time and bytes of one warm check, without a network [loops]',
  tails: 'p50, p99 and p99.9 at fixed rates, beside a null server [seconds]',
  routes: 'a check among 10, 1,000 and 10,000 routes [rounds]',
  start: 'from the start to ready, and memory [starts]',
  growth: 'bytes a session, and a check among 1,000, 100,000, 1,000,000 of them [most]',
  refresh: 'what an expired token costs',
  revocation: 'how soon a sign-out counts everywhere [rounds]',
  'login-flood': 'what sign-ins that nobody finishes leave behind',
  websockets: 'memory of idle WebSockets [count]',
}

const [what = '', ...rest] = process.argv.slice(2)
if (!(what in BENCHES)) {
  console.error(
    `npm run bench -- <what>:\n${Object.entries(BENCHES)
      .map(([k, v]) => `  ${k.padEnd(14)}${v}\n`)
      .join('')}`,
  )
  process.exit(2)
}
process.exit(
  spawnSync(process.execPath, [join(import.meta.dirname, `${what}.ts`), ...rest], { stdio: 'inherit' }).status ?? 1,
)
