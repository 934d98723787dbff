/**
 * `npm run bench -- revocation [rounds]`: a sign-out on one of three replicas on one Valkey: how long until every other one,
 * which held the session warm, refuses it? The replicas share this process and its event loop, so the figures are an upper
 * bound of what separate processes would show but for the network.
 */
import { startRedis } from '../../demo/launcher/index.ts'
import { ORIGIN, startService, type Service } from '../support/service.ts'
import type { Client } from '../support/client.ts'

const rounds = Number(process.argv[2] ?? 100)
const redis = await startRedis()
const first = await startService({ store: redis.url })
const others = await Promise.all([1, 2].map(() => startService({ store: redis.url, issuer: first.provider.issuer })))
try {
  const afterAnswer: number[] = []
  const afterAsking: number[] = []
  for (let i = 0; i < rounds; i++) {
    const client = await first.signIn()
    for (const s of [first, ...others, ...others]) await expectStatus(s, client, 200)
    const asked = performance.now()
    const cookie = client.header('/')
    await signOut(client)
    const answered = performance.now()
    const seen = await Promise.all(others.map((s) => refusedAt(s, cookie)))
    afterAsking.push(Math.max(...seen) - asked)
    afterAnswer.push(Math.max(...seen) - answered)
  }
  console.log(
    JSON.stringify({ replicas: 3, rounds, ms_after_asking: spread(afterAsking), ms_after_answer: spread(afterAnswer) }),
  )
} finally {
  for (const s of [first, ...others]) await s.stop()
  await redis.stop()
}

async function expectStatus(s: Service, client: Client, status: number): Promise<void> {
  const res = await s.verify('/plain/1', { client })
  if (res.status !== status) throw new Error(`verify answered ${res.status} instead of ${status}`)
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
async function refusedAt(s: Service, cookie: string): Promise<number> {
  const limit = performance.now() + 5000
  while (performance.now() < limit) {
    const { status } = await s.verify('/plain/1', { headers: { cookie } })
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
