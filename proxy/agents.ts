import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'

export interface Agents {
  readonly http: HttpAgent
  readonly https: HttpsAgent
  close(): void
}

/** Connections to upstreams: kept alive, capped per upstream; what is over waits its turn. */
export function createAgents(maxSocketsPerUpstream: number): Agents {
  const options = {
    keepAlive: true,
    maxSockets: maxSocketsPerUpstream,
    maxFreeSockets: 64,
    scheduling: 'lifo' as const,
  }
  const http = new HttpAgent(options)
  const https = new HttpsAgent(options)
  return {
    http,
    https,
    close: () => {
      http.destroy()
      https.destroy()
    },
  }
}
