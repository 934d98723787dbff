/** What the load generator is asked to do, and what it answers. Plain JSON: it runs in a process of its own. */
export interface Job {
  readonly port: number
  readonly protocol: 'http1' | 'http2'
  /** Request line and header lines without the cookie and without the empty line; over HTTP/2 the path and headers of it. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** One value of `Cookie` a line; each request takes one at random. */
  readonly cookiesFile?: string
  readonly connections: number
  /** Streams in flight on each HTTP/2 connection. */
  readonly streams?: number
  /** It ends after so many requests, or after this time, whichever is given. */
  readonly requests?: number
  readonly durationMs?: number
  /** Requests a second, sent when their time has come whether or not others were answered (open loop). */
  readonly rate?: number
  /** Answers with another status count as bad. */
  readonly expect: number
  /** Over TLS (HTTP/2 only): the certificate to trust. */
  readonly ca?: string
}

export interface Outcome {
  readonly requests: number
  readonly bad: number
  readonly perSecond: number
  /** Microseconds from when a request was due (open loop) or sent until its answer was whole. */
  readonly us: { readonly p50: number; readonly p99: number; readonly p999: number; readonly max: number }
  /** Microseconds from when a request was due until it was sent, a part of the above: the generator was late, or had no free connection. */
  readonly lateUs: { readonly p99: number }
  /** What came instead, where something did. */
  readonly sample?: string
}
