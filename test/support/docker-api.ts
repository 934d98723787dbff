import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Container {
  readonly name: string
  readonly ip: string
  readonly labels: Readonly<Record<string, string>>
}

/** As much of the Docker Engine's API as Traefik's provider asks for: the containers of a compose project, which never change. */
export async function startDockerApi(containers: readonly Container[]): Promise<{ url: string; close(): void }> {
  const server: Server = createServer((req, res) => {
    const path = (req.url ?? '').replace(/^\/v[\d.]+/, '').split('?')[0] ?? ''
    res.setHeader('Api-Version', '1.47')
    if (path === '/events') {
      res.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
      return
    }
    const one = containers.find((c) => path === `/containers/${c.name}/json`)
    const body =
      path === '/_ping'
        ? 'OK'
        : path === '/version'
          ? { ApiVersion: '1.47', MinAPIVersion: '1.24', Version: '27.0.0' }
          : path === '/containers/json'
            ? containers.map((c) => ({ Id: c.name, Names: [`/${c.name}`], Labels: c.labels, State: 'running' }))
            : one === undefined
              ? { message: 'no such thing' }
              : inspected(one)
    res.writeHead(typeof body === 'object' && 'message' in body ? 404 : 200, { 'content-type': 'application/json' })
    res.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

function inspected(c: Container): object {
  return {
    Id: c.name,
    Name: `/${c.name}`,
    State: { Status: 'running', Running: true },
    Config: { Labels: c.labels },
    HostConfig: { NetworkMode: 'app' },
    NetworkSettings: { Ports: {}, Networks: { app: { NetworkID: 'app', IPAddress: c.ip } } },
  }
}
