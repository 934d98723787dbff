import * as client from 'openid-client'
import type { OAuthClient } from '../../config/types.ts'
import { type Circuit, createCircuit } from './circuit.ts'
import { loadClientAuth } from './client-auth.ts'
import { type Exchange, recordingFetch } from './exchange.ts'
import { createKeys, type Keys } from './keys.ts'
import { createMetadata, type Metadata } from './metadata.ts'
import { createTlsFetch } from './tls-fetch.ts'
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
  keys(): Promise<Keys>
  prepare(o?: CallOptions): Promise<Call>
  circuit(o?: CallOptions): Circuit
  nowMs(): number
}

export function createConnection(o: ProviderOptions, onChange: () => void): Connection {
  const timeoutMs = o.timeoutMs ?? TIMEOUT_MS
  const plain: Fetch = o.fetch ?? ((url, init) => fetch(url, init as RequestInit))
  const transports = new WeakMap<OAuthClient, Fetch>()
  const auths = new WeakMap<OAuthClient, Promise<client.ClientAuth>>()
  const circuits = new Map<string, Circuit>()
  let keys: Keys | undefined

  const transport = (c: OAuthClient): Fetch =>
    remember(transports, c, () => (c.auth.kind === 'tls_client_auth' ? createTlsFetch(c.auth) : plain))
  const auth = (c: OAuthClient): Promise<client.ClientAuth> => remember(auths, c, () => loadClientAuth(c))
  const nowMs = (): number => o.clock.wallMs()

  const metadata = createMetadata({
    discover: () => discover(o, recordingFetch(transport(o.settings.client), { into: {}, nowMs: nowMs() }), timeoutMs),
    clock: o.clock,
    random: o.random,
    onChange,
  })

  return {
    options: o,
    metadata,
    nowMs,
    keys: async () => {
      const md = await metadata.get()
      if (keys?.uri !== md.jwks_uri) keys = createKeys(md, transport(o.settings.client), timeoutMs)
      return keys as Keys
    },
    prepare: async (call = {}) => {
      const md = await metadata.get()
      const c = call.client ?? o.settings.client
      const exchange: Exchange = {}
      const wire = recordingFetch(transport(c), {
        into: exchange,
        nowMs: nowMs(),
        takeIdToken: call.takeIdToken === true,
      })
      return { config: configure(o, md, c, await auth(c), wire, call.tokenEndpoint, timeoutMs), exchange }
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

/** Config admits http on loopback only; then the endpoints may be http too, else never. */
function insecure(o: ProviderOptions): boolean {
  return o.settings.issuer.protocol === 'http:'
}

async function discover(
  o: ProviderOptions,
  wire: client.CustomFetch,
  timeoutMs: number,
): Promise<client.ServerMetadata> {
  const found = await client.discovery(o.settings.issuer, o.settings.client.clientId, undefined, client.None(), {
    [client.customFetch]: wire,
    timeout: timeoutMs / 1000,
    // Deprecated in the library only to make it stand out; the protocol of the issuer decides.
    // eslint-disable-next-line @typescript-eslint/no-deprecated
    execute: insecure(o) ? [client.allowInsecureRequests] : [],
  })
  const md = { ...found.serverMetadata() }
  if (o.keysOnly === true) {
    if (md.jwks_uri === undefined) throw new Error('the metadata lacks jwks_uri')
  } else if (md.jwks_uri === undefined || md.authorization_endpoint === undefined || md.token_endpoint === undefined) {
    throw new Error('the metadata lacks authorization_endpoint, token_endpoint or jwks_uri')
  }
  // jose does not ask for TLS itself.
  if (!insecure(o) && new URL(md.jwks_uri ?? '').protocol !== 'https:') throw new Error('jwks_uri is not https')
  return md
}

function configure(
  o: ProviderOptions,
  md: client.ServerMetadata,
  c: OAuthClient,
  auth: client.ClientAuth,
  wire: client.CustomFetch,
  tokenEndpoint: URL | undefined,
  timeoutMs: number,
): client.Configuration {
  const server = tokenEndpoint === undefined ? md : withTokenEndpoint(md, tokenEndpoint)
  const config = new client.Configuration(
    server,
    c.clientId,
    {
      use_mtls_endpoint_aliases: c.auth.kind === 'tls_client_auth',
      // The library reads Date itself; the clock that was passed in is the one that counts.
      [client.clockSkew]: Math.round((o.clock.wallMs() - Date.now()) / 1000),
    },
    auth,
  )
  config[client.customFetch] = wire
  config.timeout = timeoutMs / 1000
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  if (insecure(o)) client.allowInsecureRequests(config)
  return config
}

function withTokenEndpoint(md: client.ServerMetadata, endpoint: URL): client.ServerMetadata {
  const { mtls_endpoint_aliases: _, ...rest } = md
  return { ...rest, token_endpoint: endpoint.href }
}

function remember<K extends object, V>(map: WeakMap<K, V>, key: K, make: () => V): V {
  const known = map.get(key) ?? make()
  map.set(key, known)
  return known
}
