import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Provider as OidcProvider, type Configuration, type ClientMetadata } from 'oidc-provider'
import { freePort } from '../../demo/launcher/index.ts'

/** A real OpenID provider (panva/oidc-provider) on loopback, whose sign-in page is answered at once for `user`. */
export interface RealProvider {
  readonly issuer: string
  readonly server: Server
  /** Walks the browser's part: from the authorization URL to the callback URL. */
  signIn(authorizationUrl: URL): Promise<URL>
  close(): Promise<void>
}

const RESOURCES = ['https://analytics.example.com', 'https://crud.example.com']

export async function startRealProvider(o: {
  readonly clients: readonly ClientMetadata[]
  readonly configuration?: Configuration
  readonly user?: string
  /** Whether a code without `resource` gives a token for what was granted (default), or one for userinfo. */
  readonly useGrantedResource?: boolean
  /** Whether pushed authorization requests are announced (default). */
  readonly par?: boolean
  /** Seconds that an access token lives; default 300. */
  readonly accessTokenTtlS?: number
  /** Grant types and listeners of a test's own. */
  readonly extend?: (oidc: OidcProvider) => void
  /** Where one was before: the same issuer with other keys, or come back from an outage. */
  readonly port?: number
}): Promise<RealProvider> {
  const server = createServer()
  const port = o.port ?? (await freePort())
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${port}`
  const base = baseConfiguration(o.clients, o.useGrantedResource ?? true, o.par ?? true, o.accessTokenTtlS ?? 300)
  const oidc = new OidcProvider(issuer, { ...base, ...o.configuration })
  o.extend?.(oidc)
  const callback = oidc.callback()
  server.on('request', (req, res) => {
    if (req.url?.startsWith('/interaction/') === true)
      void finish(oidc, req, res, o.user ?? 'alice').catch((e: unknown) => res.writeHead(500).end(String(e)))
    else void callback(req, res)
  })
  return {
    issuer,
    server,
    signIn: (url) => walk(url),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function baseConfiguration(
  clients: readonly ClientMetadata[],
  useGrantedResource: boolean,
  par: boolean,
  ttlS: number,
): Configuration {
  return {
    clients: [...clients],
    scopes: ['openid', 'offline_access', 'api.read', 'application.all'],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: false,
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, name: `${id} Example` }),
    }),
    cookies: { keys: ['a-key-for-the-test-provider'] },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: (_ctx, client) => Promise.resolve(client.grantTypeAllowed('refresh_token')),
    rotateRefreshToken: true,
    features: {
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      clientCredentials: { enabled: true },
      pushedAuthorizationRequests: { enabled: par },
      rpInitiatedLogout: { enabled: true },
      backchannelLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => [],
        useGrantedResource: () => useGrantedResource,
        getResourceServerInfo: (_ctx, resource) => {
          if (!RESOURCES.includes(resource)) throw new Error('unknown resource')
          return {
            scope: 'api.read application.all',
            audience: resource,
            accessTokenFormat: 'jwt',
            accessTokenTTL: ttlS,
            jwt: { sign: { alg: 'RS256' } },
          }
        },
      },
    },
  }
}

/** Grants what was asked, as a user who clicks yes would. */
async function finish(oidc: OidcProvider, req: IncomingMessage, res: ServerResponse, user: string): Promise<void> {
  const details = await oidc.interactionDetails(req, res)
  const grant = new oidc.Grant({ accountId: user, clientId: String(details.params['client_id']) })
  const scope = String(details.params['scope'])
  grant.addOIDCScope(scope)
  for (const resource of [details.params['resource']].flat())
    if (typeof resource === 'string') grant.addResourceScope(resource, scope)
  await oidc.interactionFinished(
    req,
    res,
    { login: { accountId: user }, consent: { grantId: await grant.save() } },
    { mergeWithLastSubmission: false },
  )
}

async function walk(start: URL): Promise<URL> {
  const jar = new Map<string, string>()
  let at = start
  for (let hop = 0; hop < 10; hop++) {
    const res = await fetch(at, {
      redirect: 'manual',
      headers: { cookie: [...jar].map(([k, v]) => `${k}=${v}`).join('; ') },
    })
    for (const line of res.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      const cut = pair.indexOf('=')
      jar.set(pair.slice(0, cut), pair.slice(cut + 1))
    }
    const location = res.headers.get('location')
    if (location === null) throw new Error(`no redirect but ${res.status}: ${await res.text()}`)
    const next = new URL(location, at)
    if (next.origin !== start.origin) return next
    at = next
  }
  throw new Error('too many redirects')
}
