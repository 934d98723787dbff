import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '../../middleware/clock.ts'
import { createProxy, type Proxy } from '../../proxy/proxy.ts'
import type { Forward, ProxyDeps, ProxyLimits } from '../../proxy/types.ts'
import { letThrough } from '../support/verdict.ts'

export interface Engine {
  readonly port: number
  readonly proxy: Proxy
  close(): void
}

/** The proxy alone behind a listener, with a verdict that lets everything through to `base`. */
export async function startEngine(
  base: string,
  o: {
    readonly limits?: Partial<ProxyLimits>
    readonly verdict?: Partial<Forward>
    readonly decide?: (forward: Forward, ...asked: Parameters<ProxyDeps['decide']>) => ReturnType<ProxyDeps['decide']>
  } = {},
): Promise<Engine> {
  const url = new URL(base)
  const proxy = createProxy({
    decide: (req, again) => {
      const [path = '/', query = ''] = (req.url ?? '/').split('?')
      const target = { base: url, path, query, publicPath: '/*', upstreamPath: '/{path}' }
      const forward = letThrough(target, o.verdict)
      return o.decide?.(forward, req, again) ?? forward
    },
    errorAnswer: (code, status) => ({ status, headers: [['X-BFF-Error', code]], body: '' }),
    onEnded: () => () => undefined,
    emit: () => undefined,
    clock: systemClock,
    cookieName: 'bff_session',
    ...(o.limits === undefined ? {} : { limits: o.limits }),
  })
  const server = createServer((req, res) => proxy.handleRequest(req, res))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    proxy,
    close: () => {
      server.closeAllConnections()
      server.close()
      proxy.close()
    },
  }
}
