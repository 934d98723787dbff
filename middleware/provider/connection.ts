import type * as client from 'openid-client'
import type { OAuthClient } from '../../config/types.ts'
import { type Circuit, createCircuit } from './circuit.ts'
import { type Exchange, recordingFetch } from './exchange.ts'
import type { Keys } from './keys.ts'
import { createLate, nextTurn } from '../late.ts'
import { createMetadata, type Metadata } from './metadata.ts'
import type * as protocolFile from './protocol.ts'
import type { Fetch, ProviderOptions } from './types.ts'

const TIMEOUT_MS = 10_000

/** One prepared call: a configuration of openid-client whose wire exchange can be read afterwards. */
export interface Call {
  readonly config: client.Configuration
  readonly exchange: Exchange
}

export interface CallOptions {
  readonly client?: OAuthClient
  readonly tokenEndpoint?: URL
  readonly takeIdToken?: boolean
}

/** What the files of this room share: metadata, keys, transport and circuits of one provider. */
export interface Connection {
  readonly options: ProviderOptions
  readonly metadata: Metadata
  /** What speaks with providers; loaded for the first who is about to. */
  readonly protocol: () => Promise<Protocol>
  keys(): Promise<Keys>
  prepare(o?: CallOptions): Promise<Call>
  circuit(o?: CallOptions): Circuit
  nowMs(): number
}

type Protocol = typeof protocolFile

export function createConnection(o: ProviderOptions, onChange: () => void): Connection {
  const timeoutMs = o.timeoutMs ?? TIMEOUT_MS
  const plain: Fetch = o.fetch ?? ((url, init) => fetch(url, init as RequestInit))
  const transports = new WeakMap<OAuthClient, Fetch>()
  const auths = new WeakMap<OAuthClient, Promise<client.ClientAuth>>()
  const circuits = new Map<string, Circuit>()
  let keys: Keys | undefined

  // In pieces, so that requests are answered in between.
  const { load: protocol } = createLate(async () => {
    await import('jose')
    await nextTurn()
    await import('openid-client')
    await nextTurn()
    return import('./protocol.ts')
  })
  const transport = (p: Protocol, c: OAuthClient): Fetch =>
    remember(transports, c, () => (c.auth.kind === 'tls_client_auth' ? p.createTlsFetch(c.auth) : plain))
  const auth = (p: Protocol, c: OAuthClient): Promise<client.ClientAuth> =>
    remember(auths, c, () => p.loadClientAuth(c))
  const nowMs = (): number => o.clock.wallMs()

  const metadata = createMetadata({
    discover: async () => {
      const p = await protocol()
      return p.discover(o, recordingFetch(transport(p, o.settings.client), { into: {}, nowMs: nowMs() }), timeoutMs)
    },
    clock: o.clock,
    random: o.random,
    onChange,
  })

  return {
    options: o,
    metadata,
    protocol,
    nowMs,
    keys: async () => {
      const [p, md] = [await protocol(), await metadata.get()]
      if (keys?.uri !== md.jwks_uri) keys = p.createKeys(md, transport(p, o.settings.client), timeoutMs)
      return keys as Keys
    },
    prepare: async (call = {}) => {
      const [p, md] = [await protocol(), await metadata.get()]
      const c = call.client ?? o.settings.client
      const exchange: Exchange = {}
      const wire = recordingFetch(transport(p, c), {
        into: exchange,
        nowMs: nowMs(),
        takeIdToken: call.takeIdToken === true,
      })
      return { config: p.configure(o, md, c, await auth(p, c), wire, call.tokenEndpoint, timeoutMs), exchange }
    },
    circuit: (call = {}) => {
      const c = call.client ?? o.settings.client
      const key = `${c.clientId} ${call.tokenEndpoint?.href ?? ''}`
      const known = circuits.get(key) ?? createCircuit({ clock: o.clock, random: o.random })
      circuits.set(key, known)
      return known
    },
  }
}

function remember<K extends object, V>(map: WeakMap<K, V>, key: K, make: () => V): V {
  const known = map.get(key) ?? make()
  map.set(key, known)
  return known
}
