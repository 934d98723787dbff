import { request } from 'node:http'

export interface Sent {
  readonly method?: string
  readonly headers?: Record<string, string | string[]>
  readonly body?: string
}

/** One request, exactly as given: fetch would add Sec-Fetch-Mode of its own and follow redirects. */
export function send(url: string, o: Sent = {}): Promise<Response> {
  return new Promise((resolve, reject) => {
    // The path as it is written: a URL parser would clean it.
    const cut = url.indexOf('/', 'https://'.length)
    const [origin, path] = cut === -1 ? [url, '/'] : [url.slice(0, cut), url.slice(cut)]
    const req = request(origin, { path, method: o.method ?? 'GET', headers: o.headers ?? {}, agent: false }, (res) => {
      const chunks: Buffer[] = []
      res.on('data', (c: Buffer) => chunks.push(c))
      res.on('error', reject)
      res.on('end', () => {
        const headers = new Headers()
        for (let i = 0; i < res.rawHeaders.length; i += 2)
          headers.append(res.rawHeaders[i] ?? '', res.rawHeaders[i + 1] ?? '')
        const status = res.statusCode ?? 0
        resolve(new Response(status === 204 || status === 304 ? null : Buffer.concat(chunks), { status, headers }))
      })
    })
    req.on('error', reject)
    req.end(o.body)
  })
}

/** A browser as far as cookies go: paths, expiry and HttpOnly lines of every answer are kept for looking at. */
export interface Cookie {
  readonly value: string
  readonly path: string
  readonly line: string
}

export class Client {
  readonly cookies = new Map<string, Cookie>()
  /** Every Set-Cookie line that ever came. */
  readonly lines: string[] = []
  readonly #base: string
  readonly #host: string
  readonly #hostHeader: string

  /** @param hostHeader in which it says the public host: as a gateway does, or as a browser does itself. */
  constructor(base: string, publicHost: string, hostHeader: 'x-forwarded-host' | 'host' = 'x-forwarded-host') {
    this.#base = base
    this.#host = publicHost
    this.#hostHeader = hostHeader
  }

  header(path: string): string {
    return [...this.cookies]
      .filter(([, c]) => path === c.path || path.startsWith(c.path.endsWith('/') ? c.path : `${c.path}/`))
      .map(([n, c]) => `${n}=${c.value}`)
      .join('; ')
  }

  async get(
    path: string,
    headers: Record<string, string> = {},
    init: Pick<Sent, 'method' | 'body'> = {},
  ): Promise<Response> {
    const cookie = this.header(path.split('?')[0] ?? '/')
    const res = await send(this.#base + path, {
      ...init,
      headers: { [this.#hostHeader]: this.#host, ...(cookie === '' ? {} : { cookie }), ...headers },
    })
    this.take(res)
    return res
  }

  page(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.get(path, {
      accept: 'text/html',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
      ...headers,
    })
  }

  post(path: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.get(path, { 'content-type': 'application/x-www-form-urlencoded', ...headers }, { method: 'POST', body })
  }

  take(res: Response): void {
    for (const line of res.headers.getSetCookie()) {
      this.lines.push(line)
      const [pair = '', ...attributes] = line.split(';')
      const cut = pair.indexOf('=')
      const name = pair.slice(0, cut)
      const value = pair.slice(cut + 1)
      const path = attributes.map((a) => /^\s*path=(.*)$/i.exec(a)?.[1]).find((p) => p !== undefined) ?? '/'
      if (/max-age=0|expires=thu, 01 jan 1970/i.test(line)) this.cookies.delete(name)
      else this.cookies.set(name, { value, path, line })
    }
  }
}
