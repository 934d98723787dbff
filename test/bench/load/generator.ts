/**
 * The load generator: raw keep-alive sockets for HTTP/1.1, node:http2 for HTTP/2. It runs in a process of its own, so that
 * what is measured is not slowed by who measures. Jobs come over IPC, outcomes go back.
 */
import type { Job, Outcome } from './job.ts'
import { openLane, type Lane, type Tally } from './lanes.ts'

process.on('message', (job: Job) => {
  run(job).then(
    (o) => process.send?.(o),
    (e: unknown) => process.send?.({ error: e instanceof Error ? e.message : String(e) }),
  )
})
process.on('disconnect', () => process.exit(0))

async function run(job: Job): Promise<Outcome> {
  const tally: Tally = { done: 0, bad: 0, sample: undefined, took: [], late: [] }
  let broke: (e: Error) => void = () => undefined
  const broken = new Promise<never>((_, reject) => (broke = reject))
  const lanes = await Promise.all(Array.from({ length: job.connections }, () => openLane(job, tally, (e) => broke(e))))
  const started = performance.now()
  const until = started + (job.durationMs ?? Infinity)
  let left = job.requests ?? Infinity
  const more = (): boolean => left-- > 0 && performance.now() < until
  await Promise.race([
    broken,
    job.rate === undefined ? closedLoop(lanes, job.streams ?? 1, more) : openLoop(lanes, job.rate, until),
  ])
  const seconds = (performance.now() - started) / 1000
  for (const l of lanes) l.close()
  return summarize(tally, seconds)
}

/** Each lane, or stream of it, sends its next request when the one before was answered. */
function closedLoop(lanes: readonly Lane[], streams: number, more: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    let busy = lanes.length * streams
    for (const lane of lanes) {
      const next = (): void => {
        if (more()) lane.send(performance.now(), next)
        else if (--busy === 0) resolve()
      }
      for (let i = 0; i < streams; i++) next()
    }
  })
}

/**
 * Requests are due at fixed times, and sent by whichever lane is free the longest. Where none is free a request waits, and the
 * wait counts (no coordinated omission). A timer would be a millisecond early or late, so the time is looked at in each turn
 * of the loop; one function does so for all lanes, for a promise each would be most of the garbage that is made here.
 *
 * Between turns it sleeps for as short as the kernel can, about 0.1 ms, which is in all figures alike. Without that it
 * never gave up its core, and on two cores whatever else wanted one took that of the measured server, for milliseconds.
 */
function openLoop(lanes: readonly Lane[], rate: number, until: number): Promise<void> {
  const gap = 1000 / rate
  const free = lanes.map((lane) => {
    const entry = { lane, answered: (): void => void free.push(entry) }
    return entry
  })
  let due = performance.now()
  return new Promise((resolve) => {
    const turn = (): void => {
      for (const now = performance.now(); due <= now && due < until; due += gap) {
        const next = free.shift()
        if (next === undefined) break
        next.lane.send(due, next.answered)
      }
      if (due < until || free.length < lanes.length) {
        Atomics.wait(NEVER_WOKEN, 0, 0, SHORTEST_SLEEP_MS)
        setImmediate(turn)
      } else resolve()
    }
    turn()
  })
}

/** Less than the kernel's own grain (its timer slack is 50 µs), which is then what it comes to. */
const SHORTEST_SLEEP_MS = 0.01
const NEVER_WOKEN = new Int32Array(new SharedArrayBuffer(4))

function summarize(t: Tally, seconds: number): Outcome {
  const us = quantiles(t.took)
  return {
    requests: t.done,
    bad: t.bad,
    perSecond: Math.round(t.done / seconds),
    us: { p50: us(0.5), p99: us(0.99), p999: us(0.999), max: us(1) },
    lateUs: { p99: quantiles(t.late)(0.99) },
    ...(t.sample === undefined ? {} : { sample: t.sample }),
  }
}

/** Of milliseconds, in microseconds. */
function quantiles(ms: readonly number[]): (q: number) => number {
  const sorted = Float64Array.from(ms).sort()
  return (q) => Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0) * 1000)
}
