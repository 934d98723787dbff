import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { quietly } from '../../../demo/quiet.ts'
import { startRedis, type Redis } from '../../../demo/launcher/index.ts'
import type { RealProvider } from '../../provider/real-provider.ts'
import type { ServiceOptions } from '../../support/service.ts'
import { startGenerator, startRival, type Generator, type Rival } from './client.ts'
import { OAUTH2_PROXY_CLIENT, startOauth2Proxy, type Oauth2Proxy } from './oauth2-proxy.ts'
import { signIn, startProviderFor, startServiceProcess, type ServiceProcess } from './service.ts'

/** What every bench starts and ends: a provider, a Redis, the load generator, and what it asks for, each its own process. */
export interface World {
  readonly dir: string
  readonly provider: RealProvider
  readonly redis: Redis
  readonly load: Generator
  /** Ended with the world, the last first. */
  defer(end: () => unknown): void
  /** The service at log level `warn`, its sessions in this Redis where nothing else is said. */
  ours(o?: Pick<ServiceOptions, 'settings' | 'routes' | 'store'>): Promise<ServiceProcess>
  rival(...args: readonly string[]): Promise<Rival>
  /** Undefined, and said, where OAUTH2_PROXY_BIN names none. */
  oauth2Proxy(): Promise<Oauth2Proxy | undefined>
  /** A file for the generator with the cookie of a user who signed in. */
  signIn(s: ServiceProcess): Promise<string>
  cookies(name: string, text: string): string
}

/** Opens a world, hands it over, and ends all of it, whatever happens. */
export function inWorld(run: (w: World) => Promise<void>): Promise<void> {
  return quietly(() => open(run))
}

async function open(run: (w: World) => Promise<void>): Promise<void> {
  const ends: (() => unknown)[] = []
  const own = <T extends { stop(): unknown }>(thing: T): T => {
    ends.push(() => thing.stop())
    return thing
  }
  try {
    const dir = mkdtempSync(join(tmpdir(), 'bff-bench-'))
    ends.push(() => rmSync(dir, { recursive: true, force: true }))
    const provider = await startProviderFor({ moreClients: [OAUTH2_PROXY_CLIENT], accessTokenTtlS: 3600 })
    ends.push(() => provider.close())
    const redis = own(await startRedis())
    const load = own(startGenerator())
    const cookies: World['cookies'] = (name, text) => {
      const file = join(dir, `${name}.cookies`)
      writeFileSync(file, text)
      return file
    }
    let signedIn = 0
    await run({
      dir,
      provider,
      redis,
      load,
      cookies,
      defer: (end) => void ends.push(end),
      ours: async (o = {}) =>
        own(
          await startServiceProcess({
            issuer: provider.issuer,
            store: redis.url,
            ...o,
            settings: (s) => {
              s['log'] = { level: 'warn' }
              o.settings?.(s)
            },
          }),
        ),
      rival: async (...args) => own(await startRival(...args)),
      oauth2Proxy: async () => {
        const found = await startOauth2Proxy(provider, redis.url)
        if (found === undefined) console.error('oauth2-proxy is left out: OAUTH2_PROXY_BIN names none')
        return found === undefined ? undefined : own(found)
      },
      signIn: async (s) => {
        const client = await signIn(s.client(), '/auth/login', provider)
        return cookies(`user-${signedIn++}`, client.header('/'))
      },
    })
  } finally {
    for (const end of ends.reverse()) await end()
  }
}
