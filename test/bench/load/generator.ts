/**
 * The load generator: raw keep-alive sockets for HTTP/1.1, node:http2 for HTTP/2. It runs in a process of its own, so that
 * what is measured is not slowed by who measures. Jobs come over IPC, outcomes go back.
 */
import { readFileSync } from 'node:fs'
import * as http2 from 'node:http2'
import { connect } from 'node:net'
import type { Job, Outcome } from './job.ts'

interface Tally {
  done: number
  bad: number
  sample: string | undefined
  readonly took: number[]
}

const cookies = new Map<string, readonly string[]>()

process.on('message', (job: Job) => {
  run(job).then(
    (o) => process.send?.(o),
    (e: unknown) => process.send?.({ error: e instanceof Error ? e.message : String(e) }),
  )
})
process.on('disconnect', () => process.exit(0))

async function run(job: Job): Promise<Outcome> {
  const tally: Tally = { done: 0, bad: 0, sample: undefined, took: [] }
  const lanes = await Promise.all(
    Array.from({ length: job.connections }, () =>
      job.protocol === 'http1' ? openHttp1(job, tally) : openHttp2(job, tally),
    ),
  )
  const started = performance.now()
  const until = started + (job.durationMs ?? Infinity)
  let left = job.requests ?? Infinity
  const more = (): boolean => left-- > 0 && performance.now() < until
  if (job.rate === undefined) await Promise.all(lanes.flatMap((l) => closedLoop(l, job.streams ?? 1, more)))
  else await openLoop(lanes, job.rate, until)
  const seconds = (performance.now() - started) / 1000
  for (const l of lanes) l.close()
  return summarize(tally, seconds)
}

interface Lane {
  /** Sends one request; resolves when its answer is whole. `due` is when it should have been sent. */
  send(due: number): Promise<void>
  close(): void
}

function closedLoop(lane: Lane, streams: number, more: () => boolean): Promise<void>[] {
  return Array.from({ length: streams }, async () => {
    while (more()) await lane.send(performance.now())
  })
}

/** Requests are due at fixed times. A lane that is busy makes its request wait, and the wait counts (no coordinated omission). */
async function openLoop(lanes: readonly Lane[], rate: number, until: number): Promise<void> {
  const gap = 1000 / rate
  let due = performance.now()
  await Promise.all(
    lanes.map(async (lane) => {
      for (;;) {
        const mine = due
        due += gap
        if (mine >= until) return
        await whenDue(mine)
        await lane.send(mine)
      }
    }),
  )
}

/** A timer alone may be a millisecond early or late: the last two are waited for in turns of the loop. */
async function whenDue(due: number): Promise<void> {
  const wait = due - performance.now()
  if (wait > 2) await new Promise((resolve) => setTimeout(resolve, wait - 2))
  while (performance.now() < due) await new Promise((resolve) => setImmediate(resolve))
}

function pickCookie(job: Job): string | undefined {
  if (job.cookiesFile === undefined) return undefined
  let list = cookies.get(job.cookiesFile)
  if (list === undefined) {
    list = readFileSync(job.cookiesFile, 'utf8').split('\n').filter(Boolean)
    cookies.set(job.cookiesFile, list)
  }
  return list[Math.floor(Math.random() * list.length)]
}

function note(t: Tally, status: number, expect: number, since: number, got: () => string): void {
  t.done += 1
  t.took.push(performance.now() - since)
  if (status === expect) return
  t.bad += 1
  t.sample ??= got().slice(0, 600)
}

/** One request at a time on one socket; answers are cut by Content-Length, or by the last chunk. */
async function openHttp1(job: Job, t: Tally): Promise<Lane> {
  const socket = connect(job.port, '127.0.0.1').setNoDelay()
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const head = `GET ${job.path} HTTP/1.1\r\n${Object.entries(job.headers)
    .map(([k, v]) => `${k}: ${v}\r\n`)
    .join('')}`
  let text = ''
  let since = 0
  let answered: (() => void) | undefined
  let failed: ((e: Error) => void) | undefined
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    if (!isWhole(text)) return
    const got = text
    text = ''
    note(t, Number(got.slice(9, 12)), job.expect, since, () => got)
    answered?.()
  })
  const ended = (why: string) => (): void => failed?.(new Error(`the connection ended: ${why}`))
  socket.on('error', (e) => ended(e.message)()).on('close', ended('closed'))
  return {
    send: (due) =>
      new Promise((resolve, reject) => {
        answered = resolve
        failed = reject
        since = due
        const cookie = pickCookie(job)
        socket.write(cookie === undefined ? `${head}\r\n` : `${head}cookie: ${cookie}\r\n\r\n`, 'latin1')
      }),
    close: () => socket.destroy(),
  }
}

const LENGTH = /\r\ncontent-length: *(\d+)/i

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return false
  const length = LENGTH.exec(text)
  if (length !== null && length.index < end) return text.length >= end + 4 + Number(length[1])
  return /^HTTP\/1\.1 (?:204|304)/.test(text) || text.endsWith('\r\n0\r\n\r\n')
}

async function openHttp2(job: Job, t: Tally): Promise<Lane> {
  const { host = '', ...rest } = job.headers
  const session = http2.connect(
    `${job.ca === undefined ? 'http' : 'https'}://127.0.0.1:${job.port}`,
    job.ca === undefined ? {} : { ca: readFileSync(job.ca), checkServerIdentity: () => undefined },
  )
  await new Promise<void>((resolve, reject) => session.once('connect', () => resolve()).once('error', reject))
  return {
    send: (due) =>
      new Promise((resolve, reject) => {
        const cookie = pickCookie(job)
        const stream = session.request({
          ':path': job.path,
          ':authority': host,
          ...rest,
          ...(cookie === undefined ? {} : { cookie }),
        })
        let status = 0
        stream.on('response', (h) => (status = Number(h[':status'])))
        stream.on('error', reject)
        stream.on('end', () => {
          note(t, status, job.expect, due, () => `status ${status}`)
          resolve()
        })
        stream.resume()
      }),
    close: () => session.destroy(),
  }
}

function summarize(t: Tally, seconds: number): Outcome {
  const sorted = Float64Array.from(t.took).sort()
  const at = (q: number): number =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0) * 1000)
  return {
    requests: t.done,
    bad: t.bad,
    perSecond: Math.round(t.done / seconds),
    us: { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) },
    ...(t.sample === undefined ? {} : { sample: t.sample }),
  }
}
