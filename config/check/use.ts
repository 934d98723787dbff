import type { Place } from '../finding.ts'
import type { Check } from './context.ts'
import { onLoopback } from './public-urls.ts'
import { own } from './services.ts'

/** Services that routes use and nobody described, and the other way round. */
export const checkUse: Check = (c) => {
  const { service_audiences: short, service_tokens: long } = c.settings
  const used = new Set<string>()
  c.routes.routes.forEach((route, i) => {
    const name = route.target_service
    if (name === undefined) return
    const audience = own(long, name)?.audience ?? own(short, name)
    if (audience === undefined && route.auth === 'session' && !used.has(name))
      c.report.warn(['routes', 'routes', i, 'target_service'], {
        code: 'AUDIENCE_MISSING',
        message: `\`${name}\` has no audience: calls to it will be NO_TOKEN_AVAILABLE`,
        mend: `Add service_audiences: { ${name}: … } to settings.yaml.`,
      })
    used.add(name)
  })
  const described: (readonly [string, Place])[] = [
    ...Object.keys(short).map((name) => [name, ['settings', 'service_audiences', name]] as const),
    ...Object.entries(long)
      .filter(([name, s]) => s.audience !== undefined && own(short, name) === undefined)
      .map(([name]) => [name, ['settings', 'service_tokens', name]] as const),
  ]
  for (const [name, at] of described)
    if (!used.has(name))
      c.report.warn(at, {
        code: 'AUDIENCE_UNUSED',
        message: `\`${name}\` has an audience and no route leads to it`,
        mend: 'Add a route with this target_service, or remove it.',
      })
}

/**
 * A value of the demo is known to everybody: fine on loopback, a way in elsewhere.
 *
 * @param raw settings.yaml with the environment filled in, before it was cut to the schema.
 */
export const checkDemoSecrets =
  (raw: unknown): Check =>
  (c) => {
    if (onLoopback(c.settings)) return
    visit(raw, ['settings'], (at) =>
      c.report.fault(at, {
        code: 'DEMO_SECRET',
        message: 'this value is the demo’s, which everybody knows, and the service is not on loopback',
        mend: 'Make one of your own: openssl rand -base64 48',
      }),
    )
  }

function visit(value: unknown, at: Place, found: (at: Place) => void): void {
  if (typeof value === 'string' && value.includes('demo-only-')) found(at)
  else if (Array.isArray(value)) value.forEach((v, i) => visit(v, [...at, i], found))
  else if (typeof value === 'object' && value !== null)
    for (const [k, v] of Object.entries(value)) visit(v, [...at, k], found)
}
