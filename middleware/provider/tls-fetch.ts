import { Agent, request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { ClientAuth } from '../../config/types.ts'
import { MAX_BODY_BYTES } from './exchange.ts'
import type { Fetch } from './types.ts'

/**
 * A fetch that presents the client's certificate (RFC 8705 §2). Node's own fetch takes no certificate, and openid-client
 * sends only the client id with `tls_client_auth`.
 */
export function createTlsFetch(auth: Extract<ClientAuth, { kind: 'tls_client_auth' }>): Fetch {
  const agent = new Agent({
    cert: auth.cert,
    key: auth.key.reveal(),
    keepAlive: true,
    ...(auth.ca === undefined ? {} : { ca: auth.ca }),
  })
  return (url, init) =>
    new Promise((resolve, reject) => {
      const req = request(
        url,
        {
          agent,
          method: init.method ?? 'GET',
          headers: Object.fromEntries(new Headers(init.headers).entries()),
          ...(init.signal ? { signal: init.signal } : {}),
        },
        (res) => void toResponse(res).then(resolve, reject),
      )
      // An abort is told by its reason (TimeoutError), as fetch does, so that both are classified alike.
      req.on('error', (e) => reject(init.signal?.aborted === true ? (init.signal.reason as Error) : e))
      req.end(init.body === undefined || init.body === null ? undefined : bodyText(init.body))
    })
}

function bodyText(body: unknown): string | Uint8Array {
  if (typeof body === 'string' || body instanceof Uint8Array) return body
  if (body instanceof URLSearchParams) return body.toString()
  throw new TypeError('unsupported request body')
}

async function toResponse(res: IncomingMessage): Promise<Response> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of res as AsyncIterable<Buffer>) {
    size += chunk.length
    // Leaving the loop destroys the response: the rest is never read.
    if (size > MAX_BODY_BYTES) throw new TypeError('the provider sent more than 1 MB')
    chunks.push(chunk)
  }
  const body = Buffer.concat(chunks)
  const headers = new Headers()
  for (let i = 0; i < res.rawHeaders.length; i += 2)
    headers.append(res.rawHeaders[i] ?? '', res.rawHeaders[i + 1] ?? '')
  const status = res.statusCode ?? 0
  if (status < 200 || status > 599) throw new TypeError('the provider sent an impossible status')
  return new Response([204, 205, 304].includes(status) ? null : new Uint8Array(body), { status, headers })
}
