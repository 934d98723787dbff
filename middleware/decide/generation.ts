import type { Settings } from '../../config/types.ts'
import type { Generation } from '../types.ts'
import { compileOrigins } from './origins.ts'
import { compileNetworks } from './peers.ts'
import { compileRoutes } from './route-table.ts'

/** Compiles one reading of the config into what requests need. Immutable: a reload makes the next one. */
export function createGeneration(n: number, settings: Settings): Generation {
  const origins = compileOrigins(settings.server.publicUrls)
  return {
    n,
    settings,
    ...origins,
    isTrustedPeer: compileNetworks(settings.server.trustedProxies),
    match: compileRoutes(settings.routes),
  }
}
