import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { TLSSocket } from 'node:tls'
import { secret } from '../../config/secret.ts'
import { createProvider } from '../../middleware/provider/provider.ts'
import type { Provider } from '../../middleware/provider/types.ts'
import { options, providerSettings } from './fixtures.ts'

const pem = (name: string): string => readFileSync(new URL(`./tls/${name}`, import.meta.url), 'utf8')

describe('a client that proves itself by its certificate (RFC 8705)', () => {
  let server: Server
  let provider: Provider
  const seen: { path: string; cn: unknown; clientId: string | null }[] = []
  before(async () => {
    server = createServer({
      cert: pem('server.pem'),
      key: pem('server.key'),
      ca: pem('client.pem'),
      requestCert: true,
      rejectUnauthorized: false,
    })
    server.on('request', (req, res) => {
      void buffer(req).then((body) => {
        const cn = req.socket instanceof TLSSocket ? req.socket.getPeerCertificate().subject.CN : undefined
        seen.push({ path: req.url ?? '', cn, clientId: new URLSearchParams(body.toString()).get('client_id') })
        res.setHeader('content-type', 'application/json')
        if (req.url === '/huge') return void res.end(Buffer.alloc(3 * 1024 * 1024, 32))
        res.end(
          JSON.stringify(
            req.url?.startsWith('/.well-known/') === true ? metadata() : { access_token: 'a', token_type: 'Bearer' },
          ),
        )
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const auth = {
      kind: 'tls_client_auth' as const,
      cert: pem('client.pem'),
      key: secret(pem('client.key')),
      ca: pem('server.pem'),
    }
    provider = createProvider(options(providerSettings(issuer(), { auth })))
  })
  after(async () => {
    provider.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const issuer = (): string => `https://localhost:${(server.address() as AddressInfo).port}`
  const metadata = (): Record<string, unknown> => ({
    issuer: issuer(),
    authorization_endpoint: `${issuer()}/authorize`,
    token_endpoint: `${issuer()}/token`,
    jwks_uri: `${issuer()}/jwks`,
    mtls_endpoint_aliases: { token_endpoint: `${issuer()}/mtls/token` },
  })

  it('presents it, at the endpoint announced for that, with its id alone in the body', async () => {
    const answer = await provider.tokenRequest({ grant_type: 'refresh_token', refresh_token: 'rt' })
    assert.equal(answer.kind, 'ok')
    assert.deepEqual(seen.at(-1), { path: '/mtls/token', cn: 'bff-server', clientId: 'bff-server' })
  })

  it('does not read a huge body whole either', async () => {
    const answer = await provider.tokenRequest({ grant_type: 'x' }, { tokenEndpoint: new URL(`${issuer()}/huge`) })
    assert.equal(answer.kind, 'down')
  })

  it('trusts no server that the configured CA did not sign', async () => {
    const auth = { kind: 'tls_client_auth' as const, cert: pem('client.pem'), key: secret(pem('client.key')) }
    const distrustful = createProvider(options(providerSettings(issuer(), { auth })))
    await assert.rejects(distrustful.ready())
    distrustful.close()
  })
})
