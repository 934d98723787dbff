import type { CustomFetch } from 'openid-client'
import type { Fetch } from './types.ts'

/** Token responses are a few kilobytes; a provider behind a confused proxy may send megabytes (measured: read whole). */
export const MAX_BODY_BYTES = 1024 * 1024

/** What came back on the wire, whatever the library above makes of it. */
export interface Exchange {
  status?: number
  retryAfterS?: number
  body?: string
  contentType?: string
  /** Taken out of a token response so that it is judged apart. */
  idToken?: string
  fault?: 'network' | 'timeout' | 'too_large'
}

/** RFC 9110 §10.2.3: seconds or a date. Bounded, so that nobody can send us away for a day. */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - nowMs) / 1000
  return Number.isFinite(seconds) ? Math.min(Math.max(Math.ceil(seconds), 1), 300) : undefined
}

async function readCapped(response: Response): Promise<Uint8Array<ArrayBuffer> | 'too_large'> {
  const chunks: Uint8Array[] = []
  let size = 0
  if (response.body === null) return new Uint8Array(0)
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength
    // Leaving the loop cancels the stream, which closes the connection: the rest is never read.
    if (size > MAX_BODY_BYTES) return 'too_large'
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

export interface RecordOptions {
  readonly into: Exchange
  readonly nowMs: number
  readonly takeIdToken?: boolean
}

/**
 * A fetch for one call of openid-client that keeps what came: the library reads bodies whole, follows WWW-Authenticate
 * rather than the OAuth error beside it (dependencies: R19), and tells a 5xx from a broken body by message only.
 */
export function recordingFetch(fetch: Fetch, o: RecordOptions): CustomFetch {
  return async (url, init) => {
    const response = await fetch(url, init).catch((e: unknown) => {
      o.into.fault = isTimeout(e) ? 'timeout' : 'network'
      throw e
    })
    let body: Uint8Array<ArrayBuffer> | 'too_large'
    try {
      body = await readCapped(response)
    } catch (e) {
      o.into.fault = isTimeout(e) ? 'timeout' : 'network'
      throw e
    }
    if (body === 'too_large') {
      o.into.fault = 'too_large'
      throw new TypeError('the provider sent more than 1 MB')
    }
    note(o, response, body)
    return copy(response, o.takeIdToken === true ? withoutIdToken(o.into, body) : body)
  }
}

function note(o: RecordOptions, response: Response, body: Uint8Array): void {
  o.into.status = response.status
  o.into.body = new TextDecoder().decode(body)
  const type = response.headers.get('content-type')
  if (type !== null) o.into.contentType = type
  const retry = parseRetryAfter(response.headers.get('retry-after'), o.nowMs)
  if (retry !== undefined) o.into.retryAfterS = retry
}

function copy(response: Response, body: Uint8Array<ArrayBuffer>): Response {
  const bare = [204, 205, 304].includes(response.status)
  const headers = new Headers(response.headers)
  headers.delete('content-length')
  headers.delete('content-encoding')
  return new Response(bare ? null : body, { status: response.status, headers })
}

function withoutIdToken(into: Exchange, body: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const json = parseObject(into.body)
  if (into.status !== 200 || json === undefined || typeof json['id_token'] !== 'string') return body
  const { id_token: idToken, ...rest } = json as { id_token: string }
  into.idToken = idToken
  return new TextEncoder().encode(JSON.stringify(rest))
}

/** A JSON object, or undefined for anything else. */
export function parseObject(text: string | undefined): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '')
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function isTimeout(e: unknown): boolean {
  return e instanceof Error && (e.name === 'TimeoutError' || e.name === 'AbortError')
}
