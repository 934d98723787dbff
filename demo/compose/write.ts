/** Writes demo/compose/dynamic.yaml from traefik/dynamic.yaml: `node demo/compose/write.ts`. A test holds them equal. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { traefikDynamic } from '../config.ts'

/** The service's network in docker-compose.yml, which the APIs and the SPA share. */
const HOST = '172.31.99.3'

export function composeDynamic(): string {
  const ports = { traefik: 8000, provider: 8001, service: 4181, admin: 4190, spa: 9103, orders: 9101, billing: 9102 }
  return `# Made from traefik/dynamic.yaml by demo/compose/write.ts: change that one.\n${traefikDynamic(ports).replaceAll('127.0.0.1', HOST)}`
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, 'dynamic.yaml'), composeDynamic())
