import { Document, type YAMLMap } from 'yaml'
import type { Settings } from '../../config/types.ts'
import { staticYaml } from './hints.ts'
import { dialled } from './middleware.ts'
import { BFF, type GenerateOptions, type Plan } from './plan.ts'

/** Traefik's dynamic configuration for the file provider, as YAML. */
export function toFile(plan: Plan, settings: Settings, o: GenerateOptions): string {
  const at = (url: string): object => ({ loadBalancer: { servers: [{ url }] } })
  const middlewares: (readonly [name: string, options: object])[] = [
    ...[...plan.forwardAuths].map(([name, forwardAuth]) => [name, { forwardAuth }] as const),
    ...[...plan.prefixes].map(([name, prefix]) => [name, { addPrefix: { prefix } }] as const),
  ]
  const doc = new Document(
    {
      http: {
        middlewares: Object.fromEntries(middlewares),
        routers: Object.fromEntries(
          plan.routers.map((r) => [
            r.name,
            {
              entryPoints: [o.entryPoint],
              rule: r.rule,
              priority: r.priority,
              ...(r.middlewares.length === 0 ? {} : { middlewares: r.middlewares }),
              service: r.service,
              ...(o.tls ? { tls: {} } : {}),
            },
          ]),
        ),
        services: {
          [BFF]: at(`http://${dialled(settings.server.listen, o.host)}`),
          ...Object.fromEntries([...plan.services].map(([name, url]) => [name, at(url.origin)])),
        },
      },
    },
    { aliasDuplicateObjects: false },
  )
  const routers = doc.getIn(['http', 'routers']) as YAMLMap<{ commentBefore?: string | null }>
  routers.items.forEach((pair, i) => {
    pair.key.commentBefore = ` ${plan.routers[i]?.about ?? ''}`
  })
  doc.commentBefore = [
    ' Traefik’s dynamic configuration for the file provider, made by `traefik-bff generate file`. Make it anew when',
    ' settings.yaml or routes.yaml change, and write it beside the old file and rename it (`--out` does): an empty or half',
    ' written file drops every router.',
    '',
    ' The entry point, in Traefik’s static configuration (docs/traefik.md says why):',
    ...staticYaml(settings, o.entryPoint).map((line) => `   ${line}`),
  ].join('\n')
  return doc.toString({ lineWidth: 0, flowCollectionPadding: false })
}
