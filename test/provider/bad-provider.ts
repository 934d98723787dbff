import { createHmac, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { freePort } from '../../demo/launcher/index.ts'

export interface Reply {
  readonly status?: number
  readonly json?: unknown
  readonly text?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Answers only when this resolves. */
  readonly after?: Promise<unknown>
  /** Closes the connection without an answer. */
  readonly hangUp?: boolean
  /** Sends this many bytes, 64 KB at a time. */
  readonly bytes?: number
}

/** A provider that does what a test tells it to, right or wrong. What came is kept in `asked`. */
export interface BadProvider {
  readonly issuer: string
  readonly asked: {
    readonly path: string
    readonly form: URLSearchParams
    readonly headers: IncomingMessage['headers']
  }[]
  /** By path; each may look at the form. */
  readonly on: Map<string, (form: URLSearchParams) => Reply | Promise<Reply>>
  /** Bytes that left for the last `bytes` reply. */
  readonly sent: { bytes: number }
  metadata: Record<string, unknown>
  sign(claims: Record<string, unknown>, o?: SignOptions): string
  idToken(more?: Record<string, unknown>, o?: SignOptions): string
  accessToken(more?: Record<string, unknown>): string
  forms(path?: string): URLSearchParams[]
  stop(): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

export interface SignOptions {
  readonly alg?: 'RS256' | 'none' | 'HS256' | 'forged'
  readonly header?: Record<string, unknown>
}

export async function startBadProvider(): Promise<BadProvider> {
  const own = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const on: BadProvider['on'] = new Map()
  const asked: BadProvider['asked'] = []
  const sent = { bytes: 0 }
  const server = createServer((req, res) => void handle(req, res).catch(() => res.destroy()))
  const listen = (port: number): Promise<void> => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  const port = await freePort()
  await listen(port)
  const issuer = `http://127.0.0.1:${port}`
  const stop = async (): Promise<void> => {
    server.closeAllConnections()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  }

  const p: BadProvider = {
    issuer,
    asked,
    on,
    sent,
    metadata: metadataOf(issuer),
    sign: (claims, o = {}) => signJwt(claims, o, own.privateKey, own.publicKey, foreign.privateKey),
    idToken: (more, o) =>
      p.sign(
        {
          iss: issuer,
          aud: 'bff-server',
          sub: 'alice',
          iat: seconds(),
          exp: seconds() + 300,
          nonce: 'the-nonce',
          ...more,
        },
        o,
      ),
    accessToken: (more) => p.sign({ iss: issuer, sub: 'alice', iat: seconds(), exp: seconds() + 300, ...more }),
    forms: (path = '/token') => asked.filter((a) => a.path === path).map((a) => a.form),
    stop,
    start: () => listen(port),
    close: stop,
  }
  on.set('/jwks', () => ({
    json: { keys: [{ ...own.publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'RS256' }] },
  }))
  on.set('/.well-known/openid-configuration', () => ({ json: p.metadata }))

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    const form = new URLSearchParams(Buffer.concat(chunks).toString())
    const path = (req.url ?? '').split('?')[0] ?? ''
    asked.push({ path, form, headers: req.headers })
    await reply(res, (await on.get(path)?.(form)) ?? { status: 404 }, sent)
  }
  return p
}

async function reply(res: ServerResponse, r: Reply, sent: { bytes: number }): Promise<void> {
  await r.after
  if (r.hangUp === true) return void res.destroy()
  res.writeHead(r.status ?? 200, { 'content-type': 'application/json', ...r.headers })
  sent.bytes = 0
  for (let left = r.bytes ?? 0; left > 0 && !res.destroyed; left -= 65_536) {
    sent.bytes += 65_536
    if (!res.write(Buffer.alloc(65_536, 32))) await drained(res)
  }
  res.end(r.json === undefined ? (r.text ?? '') : JSON.stringify(r.json))
}

function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      res.off('drain', done).off('close', done)
      resolve()
    }
    res.on('drain', done).on('close', done)
  })
}

function metadataOf(issuer: string): Record<string, unknown> {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    userinfo_endpoint: `${issuer}/userinfo`,
    introspection_endpoint: `${issuer}/introspect`,
    revocation_endpoint: `${issuer}/revoke`,
    end_session_endpoint: `${issuer}/logout`,
    jwks_uri: `${issuer}/jwks`,
    response_types_supported: ['code'],
    // A careless provider announces what must never be accepted.
    id_token_signing_alg_values_supported: ['RS256', 'HS256', 'none'],
    code_challenge_methods_supported: ['S256'],
  }
}

const seconds = (): number => Math.floor(Date.now() / 1000)
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function signJwt(
  claims: Record<string, unknown>,
  o: SignOptions,
  key: KeyObject,
  publicKey: KeyObject,
  foreign: KeyObject,
): string {
  const alg = o.alg === 'forged' || o.alg === undefined ? 'RS256' : o.alg
  const input = `${part({ alg, kid: 'k1', ...o.header })}.${part(claims)}`
  if (alg === 'none') return `${input}.`
  if (alg === 'HS256') {
    const pem = publicKey.export({ format: 'pem', type: 'spki' })
    return `${input}.${createHmac('sha256', pem).update(input).digest('base64url')}`
  }
  return `${input}.${createSign('sha256')
    .update(input)
    .sign(o.alg === 'forged' ? foreign : key, 'base64url')}`
}
