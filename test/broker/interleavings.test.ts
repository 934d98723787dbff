import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decodeJwt } from '../../middleware/broker/audience.ts'
import type { LiveSession, SessionId, TokenAnswer } from '../../middleware/types.ts'
import { ANALYTICS, createWorld, CRUD, rotating } from './world.ts'

const AUDIENCE: Readonly<Record<string, string>> = { analytics: ANALYTICS, crud: CRUD }

type Move =
  | {
      readonly kind: 'ask'
      readonly broker: number
      readonly session: number
      readonly service: 'analytics' | 'crud'
      readonly rejected: boolean
    }
  | { readonly kind: 'end'; readonly session: number }
  | { readonly kind: 'age'; readonly ms: number }

const ask = fc.record({
  kind: fc.constant('ask' as const),
  broker: fc.nat(2),
  session: fc.nat(1),
  service: fc.constantFrom('analytics' as const, 'crud' as const),
  rejected: fc.boolean(),
})
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 12, arbitrary: ask },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), session: fc.nat(1) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('age' as const), ms: fc.constantFrom(1_000, 275_000, 310_000) }),
  },
)

describe('three replicas that share a store', () => {
  it(
    'R9 R19 never use a refresh token twice, never answer a wrong audience, never revive a session',
    { timeout: 120_000 },
    async () => {
      let run = 0
      await fc.assert(
        fc.asyncProperty(fc.scheduler(), fc.array(move, { minLength: 5, maxLength: 30 }), async (s, moves) => {
          run++
          const w = await createWorld({ replicas: 3, deadlineMs: 500_000 })
          const idp = rotating(w)
          const ids = [`a${run}`, `b${run}`] as SessionId[]
          const seen: LiveSession[] = []
          for (const id of ids) seen.push(await w.signIn(id, { refreshToken: `rt-${id}` }))
          const gone = new Set<SessionId>()
          // Every store call waits its turn in an order that fast-check chooses, and shrinks.
          w.stores.before = (call) => s.schedule(Promise.resolve(), call)
          const asked: Promise<void>[] = []
          for (const m of moves) {
            if (m.kind === 'age') w.time.offsetMs += m.ms
            else if (m.kind === 'end') {
              asked.push(
                w.stores.sessions.end([ids[m.session]!], 'logout').then(() => {
                  gone.add(ids[m.session]!)
                }),
              )
            } else asked.push(askOnce(w, m, seen[m.session]!))
            if (m.kind !== 'ask' || m.rejected) await drainSome(s, asked)
          }
          await settle(s, asked, w)
          assert.equal(idp.reuses(), 0, 'a refresh token was used twice')
          assert.equal(new Set(idp.uses()).size, idp.uses().length)
          w.stores.before = async () => undefined
          for (const id of gone) assert.equal(await w.load(id), undefined, 'a session came back')
          assert.equal(w.ended.length, 0, 'the broker ended a good session')
          await w.close()
        }),
        { numRuns: 40 },
      )
    },
  )
})

type World = Awaited<ReturnType<typeof createWorld>>

async function askOnce(w: World, m: Extract<Move, { kind: 'ask' }>, first: LiveSession): Promise<void> {
  const live = (await w.load(first.id)) ?? first
  const held = live.tokens.get(m.service)
  const answer: TokenAnswer = await w.ask(live, m.service, {
    broker: m.broker,
    ...(m.rejected && held !== undefined ? { rejected: held.id } : {}),
  })
  if (answer.kind !== 'token') return
  assert.equal(decodeJwt(answer.token.value.reveal())?.['aud'], AUDIENCE[m.service], 'a wrong audience was answered')
  assert.equal(answer.token.service, m.service)
}

/** Lets some of what is waiting happen before the next move. */
async function drainSome(s: fc.Scheduler, asked: readonly Promise<void>[]): Promise<void> {
  if (asked.length > 0 && s.count() > 0) await s.waitNext(1)
}

/** Network answers come whenever they come, so turns are given out until nothing is left to wait for. */
async function settle(s: fc.Scheduler, asked: readonly Promise<void>[], w: World): Promise<void> {
  const progress = { open: true }
  const all = Promise.all(asked)
    .then(() => Promise.all(w.brokers.map((b) => b.drain())))
    .finally(() => {
      progress.open = false
    })
  while (progress.open) {
    if (s.count() > 0) await s.waitNext(1)
    else await new Promise((resolve) => setImmediate(resolve))
  }
  await all
}
