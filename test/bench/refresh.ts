/**
 * `npm run bench -- refresh`: what an expired token costs. Three replicas on one Valkey, a real provider, 200 requests at once:
 * how often is the provider asked? And a request with a warm token against one that needs none.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { startRedis } from '../../demo/launcher/index.ts'
import { startService, type Service } from '../support/service.ts'

const REQUESTS = 200
const ROUNDS = 5
const redis = await startRedis()
/** Seconds that a token lives. */
const TTL_S = 6
let calls = 0
const first = await startService({
  store: redis.url,
  accessTokenTtlS: TTL_S,
  extendProvider: (oidc) => {
    oidc.on('grant.success', (ctx) => {
      if (ctx.oidc.params?.['grant_type'] === 'refresh_token') calls += 1
    })
  },
})
const others = await Promise.all(
  [1, 2].map(async () => startService({ store: redis.url, issuer: first.provider.issuer })),
)
const replicas: readonly Service[] = [first, ...others]
try {
  const client = await first.signIn()
  await first.verify('/orders/1', { client })
  const perExpiry: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(TTL_S * 1000 + 200)
    calls = 0
    const answers = await Promise.all(
      Array.from({ length: REQUESTS }, async (_, i) => replicas[i % 3]?.verify('/orders/1', { client })),
    )
    const bad = answers.filter((a) => a?.status !== 200).length
    if (bad > 0) throw new Error(`${bad} of ${REQUESTS} requests were not answered with 200`)
    perExpiry.push(calls)
  }
  const warm: number[] = []
  const plain: number[] = []
  for (let i = 0; i < 600; i++) {
    warm.push(await timed(() => first.verify('/orders/1', { client })))
    plain.push(await timed(() => first.verify('/plain/1', { client })))
  }
  const ratio = median(warm.slice(100)) / median(plain.slice(100))
  console.log(
    JSON.stringify({
      replicas: 3,
      requests: REQUESTS,
      provider_calls_per_expiry: perExpiry,
      warm_token_over_no_token: Math.round(ratio * 100) / 100,
    }),
  )
} finally {
  for (const s of replicas) await s.stop()
  await redis.stop()
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
