import type { RealProvider } from '../../provider/real-provider.ts'
import { answers, freePort, start, until, type Running } from '../../../demo/launcher/index.ts'
import { Client } from '../../support/client.ts'
import { ORIGIN, PUBLIC_HOST } from '../../support/service.ts'

export const OAUTH2_PROXY_CLIENT = {
  client_id: 'oauth2-proxy',
  client_secret: 'demo-only-client-secret',
  redirect_uris: [`${ORIGIN}/oauth2/callback`],
  grant_types: ['authorization_code', 'refresh_token'],
}

export interface Oauth2Proxy {
  readonly pid: number
  readonly port: number
  /** Of a user who signed in through the provider. */
  readonly cookie: string
  stop(): Promise<void>
}

/** The oauth2-proxy that OAUTH2_PROXY_BIN names, its sessions in Redis, with a real sign-in; undefined where none is named. */
export async function startOauth2Proxy(provider: RealProvider, redisUrl: string): Promise<Oauth2Proxy | undefined> {
  const program = process.env['OAUTH2_PROXY_BIN']
  if (program === undefined || program === '') return undefined
  const port = await freePort()
  const running = start(program, [
    `--http-address=127.0.0.1:${port}`,
    '--provider=oidc',
    `--oidc-issuer-url=${provider.issuer}`,
    `--client-id=${OAUTH2_PROXY_CLIENT.client_id}`,
    `--client-secret=${OAUTH2_PROXY_CLIENT.client_secret}`,
    `--redirect-url=${ORIGIN}/oauth2/callback`,
    '--code-challenge-method=S256',
    '--scope=openid email profile',
    '--email-domain=*',
    '--cookie-secret=0123456789abcdef0123456789abcdef',
    '--cookie-secure=false',
    '--session-store-type=redis',
    `--redis-connection-url=${redisUrl}`,
    '--reverse-proxy=true',
    '--trusted-proxy-ip=127.0.0.1/32',
    '--set-xauthrequest=true',
    '--set-authorization-header=true',
    '--skip-provider-button=true',
    // As ours is measured at `warn`.
    '--request-logging=false',
    '--auth-logging=false',
    '--standard-logging=true',
    '--upstream=static://202',
  ])
  await until('oauth2-proxy', () => answers(port), { running })
  try {
    return { pid: running.pid, port, cookie: await signIn(port, provider), stop: () => running.stop() }
  } catch (e) {
    await running.stop()
    throw new Error(`oauth2-proxy: no sign-in. It said:\n${said(running)}`, { cause: e })
  }
}

async function signIn(port: number, provider: RealProvider): Promise<string> {
  const client = new Client(`http://127.0.0.1:${port}`, PUBLIC_HOST)
  const begun = await client.page('/oauth2/start?rd=/')
  const back = await provider.signIn(new URL(begun.headers.get('location') ?? ''))
  const done = await client.page(back.pathname + back.search)
  if (done.status !== 302) throw new Error(`its callback answered ${done.status}`)
  const check = await client.get('/oauth2/auth')
  if (check.status !== 202) throw new Error(`/oauth2/auth answered ${check.status}`)
  return client.header('/')
}

function said(running: Running): string {
  return running.output().slice(-2000)
}
