import { readFileSync } from 'node:fs'
import * as http2 from 'node:http2'
import { connect } from 'node:net'
import type { Job } from './job.ts'

/** What the answers of a job were. */
export interface Tally {
  done: number
  bad: number
  sample: string | undefined
  /** From when it was due until its answer was whole, and from when it was due until it was sent, in ms. */
  readonly took: number[]
  readonly late: number[]
}

/** One connection. What it makes garbage of is little, since the collector of who measures takes a core from who is measured. */
export interface Lane {
  /** Sends one request; `answered` is called when its answer is whole. `due` is when it should have been sent. */
  send(due: number, answered: () => void): void
  close(): void
}

/** @param broke is told when a connection ends that should not. */
export function openLane(job: Job, t: Tally, broke: (e: Error) => void): Promise<Lane> {
  return job.protocol === 'http1' ? openHttp1(job, t, broke) : openHttp2(job, t, broke)
}

const cookies = new Map<string, readonly string[]>()

function pickCookie(job: Job): string | undefined {
  if (job.cookiesFile === undefined) return undefined
  let list = cookies.get(job.cookiesFile)
  if (list === undefined) {
    list = readFileSync(job.cookiesFile, 'utf8').split('\n').filter(Boolean)
    cookies.set(job.cookiesFile, list)
  }
  return list[Math.floor(Math.random() * list.length)]
}

function note(t: Tally, status: number, expect: number, due: number, got: () => string): void {
  t.done += 1
  t.took.push(performance.now() - due)
  if (status === expect) return
  t.bad += 1
  t.sample ??= got().slice(0, 600)
}

/** One request at a time on one socket; answers are cut by Content-Length, or by the last chunk. */
async function openHttp1(job: Job, t: Tally, broke: (e: Error) => void): Promise<Lane> {
  let text = ''
  let since = 0
  let answered: (() => void) | undefined
  const take = (length: number, buffer: Uint8Array): boolean => {
    text += (buffer as Buffer).toString('latin1', 0, length)
    if (!isWhole(text)) return true
    const got = text
    text = ''
    note(t, Number(got.slice(9, 12)), job.expect, since, () => got)
    answered?.()
    return true
  }
  // One buffer for all reads, where 'data' would come with a new one each time.
  const onread = { buffer: Buffer.alloc(16_384), callback: take }
  const socket = connect({ port: job.port, host: '127.0.0.1', onread }).setNoDelay()
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  socket.on('error', (e) => broke(e)).on('close', () => broke(new Error('the connection ended')))
  const head = `GET ${job.path} HTTP/1.1\r\n${Object.entries(job.headers)
    .map(([k, v]) => `${k}: ${v}\r\n`)
    .join('')}`
  return {
    send: (due, then) => {
      answered = then
      since = due
      const cookie = pickCookie(job)
      t.late.push(performance.now() - due)
      socket.write(cookie === undefined ? `${head}\r\n` : `${head}cookie: ${cookie}\r\n\r\n`, 'latin1')
    },
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

async function openHttp2(job: Job, t: Tally, broke: (e: Error) => void): Promise<Lane> {
  const { host = '', ...rest } = job.headers
  const session = http2.connect(
    `${job.ca === undefined ? 'http' : 'https'}://127.0.0.1:${job.port}`,
    job.ca === undefined ? {} : { ca: readFileSync(job.ca), checkServerIdentity: () => undefined },
  )
  await new Promise<void>((resolve, reject) => session.once('connect', () => resolve()).once('error', reject))
  return {
    send: (due, answered) => {
      const cookie = pickCookie(job)
      t.late.push(performance.now() - due)
      const stream = session.request({
        ':path': job.path,
        ':authority': host,
        ...rest,
        ...(cookie === undefined ? {} : { cookie }),
      })
      let status = 0
      stream.on('response', (h) => (status = Number(h[':status'])))
      stream.on('error', broke)
      stream.on('end', () => {
        note(t, status, job.expect, due, () => `status ${status}`)
        answered()
      })
      stream.resume()
    },
    close: () => session.destroy(),
  }
}
