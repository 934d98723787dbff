/**
 * `npm run bench -- revocation [rounds]`: a sign-out on one of three replicas on one Valkey, each a process of its own: how long
 * until every other one, which held the session warm, refuses it? Provider and client share this process.
 */
import { send, type Client } from '../support/client.ts'
import { ORIGIN } from '../support/service.ts'
import { report } from './load/goals.ts'
import { checkHeaders, signIn, type ServiceProcess } from './load/service.ts'
import { inWorld } from './load/world.ts'

const rounds = Number(process.argv[2] ?? 100)

await inWorld(async (w) => {
  const [first, ...others] = await Promise.all([w.ours(), w.ours(), w.ours()])
  const afterAnswer: number[] = []
  const afterAsking: number[] = []
  for (let i = 0; i < rounds; i++) {
    const client = await signIn(first.client(), '/auth/login', w.provider)
    const cookie = client.header('/')
    for (const s of [first, ...others, ...others]) await expectStatus(s, cookie, 200)
    const asked = performance.now()
    await signOut(client)
    const answered = performance.now()
    const seen = await Promise.all(others.map((s) => refusedAt(s, cookie)))
    afterAsking.push(Math.max(...seen) - asked)
    afterAnswer.push(Math.max(...seen) - answered)
  }
  const figures = { ms_after_asking: spread(afterAsking), ms_after_answer: spread(afterAnswer) }
  console.error(`\na sign-out on one replica, refused by the two others (${rounds} times)`)
  for (const [what, q] of Object.entries(figures))
    console.error(`${what.padEnd(18)}p50 ${q.p50}  p99 ${q.p99}  most ${q.max}`)
  report('revocation', { replicas: 3, rounds, ...figures })
})

async function check(s: ServiceProcess, cookie: string): Promise<number> {
  const res = await send(`http://127.0.0.1:${s.port('main')}/auth/verify`, {
    headers: { ...checkHeaders('/plain/1'), cookie },
  })
  return res.status
}

async function expectStatus(s: ServiceProcess, cookie: string, wanted: number): Promise<void> {
  const status = await check(s, cookie)
  if (status !== wanted) throw new Error(`verify answered ${status} instead of ${wanted}`)
}

async function signOut(client: Client): Promise<void> {
  const token = client.cookies.get('_csrf_token')?.value ?? ''
  const res = await client.post('/auth/logout', '', {
    'x-csrf-token': token,
    origin: ORIGIN,
    accept: 'application/json',
    'x-requested-with': 'XMLHttpRequest',
  })
  if (res.status !== 200) throw new Error(`logout answered ${res.status}: ${await res.text()}`)
}

/** When the first refusal arrived; 5 s without one is a failure, not a figure. */
async function refusedAt(s: ServiceProcess, cookie: string): Promise<number> {
  const limit = performance.now() + 5000
  while (performance.now() < limit) {
    const status = await check(s, cookie)
    if (status === 401) return performance.now()
    if (status !== 200) throw new Error(`verify answered ${status}`)
  }
  throw new Error('still accepted 5 s after the sign-out')
}

function spread(values: readonly number[]): Record<'p50' | 'p99' | 'max', number> {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (q: number): number =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0) * 100) / 100
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}
