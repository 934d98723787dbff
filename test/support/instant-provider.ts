import { SignJWT, exportJWK, generateKeyPair, type CryptoKey } from 'jose'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Client } from './client.ts'

export const LOGOUT_EVENT = { 'http://schemas.openid.net/event/backchannel-logout': {} }

/** A provider that signs in whoever asks, with a key that a test may sign with too: the flow itself is tested on a real one. */
export interface InstantProvider {
  readonly issuer: string
  readonly key: CryptoKey
  /** Claims of the id tokens that it gives, over the usual ones; a refresh asks anew. */
  idClaims: Record<string, unknown>
  /** More metadata. */
  metadata: Record<string, unknown>
  /** Members of a token answer, over the usual ones. */
  tokenAnswer: Record<string, unknown>
  /** Refresh and access tokens that were revoked here. */
  readonly revoked: string[]
  /** Called before a code is redeemed. */
  beforeToken: () => Promise<void>
  sign(claims: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>
  /** Walks a client through sign-in. */
  signIn(client: Client): Promise<Client>
  /** Up to the callback's address, which is not asked. */
  begin(client: Client): Promise<string>
  close(): void
}

export async function startInstantProvider(): Promise<InstantProvider> {
  const pair = await generateKeyPair('RS256')
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k', alg: 'RS256', use: 'sig' }
  const nonces = new Map<string, string>()
  const server = createServer((req, res) => {
    const url = new URL(req.url ?? '/', p.issuer)
    res.setHeader('content-type', 'application/json')
    if (url.pathname === '/authorize') {
      const [code, state] = [`code-${nonces.size}`, url.searchParams.get('state') ?? '']
      nonces.set(code, url.searchParams.get('nonce') ?? '')
      const back = new URL(url.searchParams.get('redirect_uri') ?? '')
      back.search = new URLSearchParams({ code, state, iss: p.issuer }).toString()
      res.writeHead(302, { location: back.href }).end()
    } else if (url.pathname === '/token' || url.pathname === '/revoke') {
      let body = ''
      req.on('data', (d: Buffer) => (body += d.toString()))
      req.on('end', () => {
        const form = new URLSearchParams(body)
        if (url.pathname === '/revoke') {
          p.revoked.push(form.get('token') ?? '')
          res.end()
          return
        }
        const nonce = nonces.get(form.get('code') ?? '')
        void p
          .beforeToken()
          .then(() => p.sign({ nonce, sid: 'the-sid', ...p.idClaims }, { typ: 'JWT' }))
          .then((id_token) =>
            res.end(JSON.stringify({ access_token: 'opaque', token_type: 'Bearer', id_token, ...p.tokenAnswer })),
          )
      })
    } else if (url.pathname === '/jwks') res.end(JSON.stringify({ keys: [jwk] }))
    else {
      const at = (path: string): string => `${p.issuer}${path}`
      res.end(
        JSON.stringify({
          issuer: p.issuer,
          authorization_endpoint: at('/authorize'),
          token_endpoint: at('/token'),
          revocation_endpoint: at('/revoke'),
          jwks_uri: at('/jwks'),
          response_types_supported: ['code'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['RS256'],
          authorization_response_iss_parameter_supported: true,
          ...p.metadata,
        }),
      )
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  let n = 0
  const p: InstantProvider = {
    issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    key: pair.privateKey,
    idClaims: {},
    metadata: {},
    tokenAnswer: {},
    revoked: [],
    beforeToken: () => Promise.resolve(),
    sign: (claims, header = {}) => {
      const now = Math.floor(Date.now() / 1000)
      const all = {
        iss: p.issuer,
        aud: 'bff-server',
        sub: 'alice',
        iat: now,
        exp: now + 120,
        jti: `jti-${n++}`,
        ...claims,
      }
      return new SignJWT(
        Object.fromEntries(Object.entries(all as Record<string, unknown>).filter(([, v]) => v !== undefined)),
      )
        .setProtectedHeader({ alg: 'RS256', kid: 'k', typ: 'logout+jwt', ...header })
        .sign(p.key)
    },
    begin: async (client) => {
      const begun = await client.page('/auth/login')
      const res = await fetch(begun.headers.get('location') ?? '', { redirect: 'manual' })
      const back = new URL(res.headers.get('location') ?? '')
      return back.pathname + back.search
    },
    signIn: async (client) => {
      const done = await client.page(await p.begin(client))
      if (done.status !== 302) throw new Error(`callback answered ${done.status}: ${await done.text()}`)
      return client
    },
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
  return p
}
