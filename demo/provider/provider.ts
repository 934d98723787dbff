import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import {
  Provider,
  interactionPolicy,
  type ClientMetadata,
  type Configuration,
  type KoaContextWithOIDC,
} from 'oidc-provider'
import { ACCOUNTS, ACR_OTP, ACR_PASSWORD, ONE_TIME_CODE, PASSWORD } from './accounts.ts'
import { quietly } from '../quiet.ts'
import { STYLE_HASH, loginPage, page } from './pages.ts'

export interface DemoProviderOptions {
  readonly port: number
  /** Default: loopback. */
  readonly host?: string
  /** As browsers and the service call it: `http://localhost:<port>`. */
  readonly issuer: string
  readonly clients: readonly ClientMetadata[]
  /** Resource indicator -> its scopes. Read at each request, so a new one works at once. */
  readonly resources: ReadonlyMap<string, string>
  /** Seconds that an access token lives. */
  readonly accessTokenTtlS: number
}

export interface DemoProvider {
  readonly issuer: string
  readonly server: Server
  /** Calls of the token endpoint so far, by grant type. */
  readonly tokenCalls: ReadonlyMap<string, number>
  close(): Promise<void>
}

/** The demo's OpenID provider: panva/oidc-provider with resource indicators, rotating refresh tokens and a small login form. */
export async function startDemoProvider(o: DemoProviderOptions): Promise<DemoProvider> {
  const provider = await quietly(() => new Provider(o.issuer, configuration(o)))
  const tokenCalls = new Map<string, number>()
  provider.on('grant.success', (ctx: KoaContextWithOIDC) => {
    const grant = String(ctx.oidc.params?.['grant_type'])
    tokenCalls.set(grant, (tokenCalls.get(grant) ?? 0) + 1)
  })
  const callback = provider.callback()
  const server = createServer((req, res) => {
    if (req.url?.startsWith('/interaction/') === true) {
      interact(provider, o, req, res).catch((e: unknown) => {
        res
          .writeHead(400, { 'content-type': 'text/html; charset=utf-8' })
          .end(
            page(
              'Sign in',
              `<h1>This sign-in is over</h1><p>${e instanceof Error ? e.name : ''} Start again from the app.</p>`,
            ),
          )
      })
    } else void callback(req, res)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(o.port, o.host ?? '127.0.0.1', resolve)
  })
  return {
    issuer: o.issuer,
    server,
    tokenCalls,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function configuration(o: DemoProviderOptions): Configuration {
  return {
    clients: [...o.clients],
    scopes: [
      'openid',
      'offline_access',
      'profile',
      'email',
      'groups',
      ...new Set([...o.resources.values()].flatMap((s) => s.split(' '))),
    ],
    claims: {
      openid: ['sub', 'sid', 'auth_time', 'acr'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username', 'department'],
      groups: ['groups'],
    },
    // The id token holds them itself, so one call is enough.
    conformIdTokenClaims: false,
    acrValues: [ACR_PASSWORD, ACR_OTP],
    findAccount: (_ctx, sub) => {
      const account = ACCOUNTS.get(sub)
      return account === undefined ? undefined : { accountId: sub, claims: () => ({ sub, ...account.claims }) }
    },
    cookies: { keys: ['demo-only-cookie-key'] },
    interactions: { url: (_ctx, i) => `/interaction/${i.uid}`, policy: policy() },
    issueRefreshToken: (_ctx, client) => Promise.resolve(client.grantTypeAllowed('refresh_token')),
    rotateRefreshToken: true,
    loadExistingGrant: grantAll(o),
    ttl: {
      AccessToken: o.accessTokenTtlS,
      AuthorizationCode: 60,
      Grant: 86_400,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: 86_400,
      Session: 86_400,
      ClientCredentials: o.accessTokenTtlS,
    },
    features: {
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      clientCredentials: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          ctx.body = page(
            'Sign out · Demo Identity',
            `<h1>Sign out?</h1><p>Here too, at Demo Identity.</p>${form}<button type="submit" form="op.logoutForm" name="logout" value="yes">Yes, sign me out</button><button class="plain" type="submit" form="op.logoutForm">No, only of the app</button>`,
          )
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => [],
        // A code that names no resource gives a token for userinfo; each service's comes by refresh.
        useGrantedResource: () => false,
        getResourceServerInfo: (_ctx, resource) => {
          const scope = o.resources.get(resource)
          if (scope === undefined) throw new Error('unknown resource')
          return {
            scope,
            audience: resource,
            accessTokenFormat: 'jwt',
            accessTokenTTL: o.accessTokenTtlS,
            jwt: { sign: { alg: 'RS256' } },
          }
        },
      },
    },
  }
}

/** The app is of the house: signing in is consent enough. A person says no with the form's second button. */
function grantAll(o: DemoProviderOptions): NonNullable<Configuration['loadExistingGrant']> {
  return async (ctx) => {
    const { client, session, provider } = ctx.oidc
    if (client === undefined || session?.accountId === undefined) return undefined
    const grant = fullGrant(provider, client.clientId, session.accountId, o)
    await grant.save()
    return grant
  }
}

function fullGrant(
  provider: Provider,
  clientId: string,
  accountId: string,
  o: DemoProviderOptions,
): InstanceType<Provider['Grant']> {
  const grant = new provider.Grant({ clientId, accountId })
  grant.addOIDCScope(['openid offline_access profile email groups', ...o.resources.values()].join(' '))
  for (const [resource, scope] of o.resources) grant.addResourceScope(resource, scope)
  return grant
}

/** The usual prompts, and one more reason to sign in: the one-time code was asked for and the session has none. */
function policy(): interactionPolicy.DefaultPolicy {
  const base = interactionPolicy.base()
  base.get('login')?.checks.add(
    new interactionPolicy.Check('acr_wanted', 'a stronger sign-in is asked for', (ctx) => {
      const wanted = textOf(ctx.oidc.params?.['acr_values']).split(' ')
      return wanted.includes(ACR_OTP) && ctx.oidc.session?.acr !== ACR_OTP
    }),
  )
  return base
}

async function interact(
  provider: Provider,
  o: DemoProviderOptions,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const [, , uid = '', step] = (req.url ?? '').split('?')[0]?.split('/') ?? []
  const details = await provider.interactionDetails(req, res)
  const otp = textOf(details.params['acr_values']).split(' ').includes(ACR_OTP)
  const show = (failed: boolean): void => {
    res.writeHead(failed ? 401 : 200, {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'`,
    })
    res.end(loginPage(uid, { otp, failed, hint: textOf(details.params['login_hint']) }))
  }
  if (details.prompt.name === 'consent' && details.session !== undefined) {
    const grant = fullGrant(provider, String(details.params['client_id']), details.session.accountId, o)
    await provider.interactionFinished(
      req,
      res,
      { consent: { grantId: await grant.save() } },
      { mergeWithLastSubmission: true },
    )
    return
  }
  if (req.method !== 'POST') return show(false)
  if (step === 'refuse') {
    await provider.interactionFinished(
      req,
      res,
      { error: 'access_denied', error_description: 'the user said no' },
      { mergeWithLastSubmission: false },
    )
    return
  }
  const form = await readForm(req)
  const account = ACCOUNTS.get(form.get('user') ?? '')
  if (account === undefined || form.get('password') !== PASSWORD || (otp && form.get('otp') !== ONE_TIME_CODE))
    return show(true)
  const login = { accountId: account.sub, acr: otp ? ACR_OTP : ACR_PASSWORD, amr: otp ? ['pwd', 'otp'] : ['pwd'] }
  await provider.interactionFinished(req, res, { login }, { mergeWithLastSubmission: false })
}

async function readForm(req: IncomingMessage): Promise<URLSearchParams> {
  let text = ''
  for await (const chunk of req) {
    text += String(chunk)
    if (text.length > 4096) throw new Error('too long')
  }
  return new URLSearchParams(text)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
