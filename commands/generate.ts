import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { dirname, join } from 'node:path'
import { formatFinding, loadConfig } from '../config/load.ts'
import { suggest } from '../config/suggest.ts'
import type { Settings } from '../config/types.ts'
import { isLoopback } from '../config/values/net.ts'
import { toFile } from '../traefik/generate/file.ts'
import { isReachable, toKubernetes } from '../traefik/generate/kubernetes.ts'
import { toLabels } from '../traefik/generate/labels.ts'
import { planTraefik, type GenerateOptions, type Plan } from '../traefik/generate/plan.ts'

/** The command line, as it was written. */
export interface GenerateArgs {
  readonly kind: string | undefined
  readonly entryPoint: string | undefined
  readonly host: string | undefined
  readonly tls: boolean
  readonly tlsDir: string | undefined
  /** `NAME=SERVICE`. */
  readonly upstreams: readonly string[]
  readonly out: string | undefined
}

type Print = (text: string) => void
type Write = (plan: Plan, settings: Settings, o: GenerateOptions) => string

const KINDS: ReadonlyMap<string, Write> = new Map([
  ['file', toFile],
  ['labels', toLabels],
  ['kubernetes', toKubernetes],
])
/** Where Traefik is not on this machine, it finds the service by a name. */
const HOSTS: ReadonlyMap<string, string> = new Map([
  ['labels', 'bff'],
  ['kubernetes', 'bff.default.svc'],
])

/**
 * `traefik-bff generate`: Traefik's configuration for the routes in DIR.
 *
 * @param print takes the whole text; notes and faults go to `complain`, a line at a time.
 * @returns the exit code: 0 written, 1 the config has faults, 2 it cannot be read, or wrong usage.
 */
export function generate(
  dir: string,
  env: NodeJS.ProcessEnv,
  args: GenerateArgs,
  print: Print,
  complain: Print,
): number {
  const write = KINDS.get(args.kind ?? '')
  const usage = write === undefined ? 'generate file|labels|kubernetes' : badArgument(args)
  if (write === undefined || usage !== undefined) {
    complain(`traefik-bff: ${usage ?? ''}`)
    return 2
  }
  const got = loadConfig(dir, env)
  if (!got.ok) {
    for (const f of got.faults) complain(formatFinding(f))
    return got.unreadable ? 2 : 1
  }
  const { settings } = got
  const upstreams = Object.fromEntries(
    args.upstreams.map((u) => [u.slice(0, u.indexOf('=')), u.slice(u.indexOf('=') + 1)] as const),
  )
  const unknown = unknownUpstream(Object.keys(upstreams), settings)
  if (unknown !== undefined || settings.server.listen.port === 0) {
    complain(`traefik-bff: ${unknown ?? 'server.listen has port 0: Traefik would not know where to ask'}`)
    return unknown === undefined ? 1 : 2
  }
  const host = args.host ?? HOSTS.get(args.kind ?? '')
  const tlsDir = args.tlsDir ?? madeByCerts(settings, args.kind)
  const o: GenerateOptions = {
    entryPoint: args.entryPoint ?? 'web',
    tls: args.tls,
    upstreams,
    ...(host === undefined ? {} : { host }),
    ...(tlsDir === undefined ? {} : { tlsDir }),
  }
  const plan = planTraefik(settings, o)
  for (const note of [...plan.notes, ...notesOf(plan, settings, args)]) complain(`traefik-bff: ${note}`)
  const text = write(plan, settings, o)
  if (args.out === undefined) print(text)
  else replace(args.out, text)
  return 0
}

/** What stands in a rule, a label or an address as it is must be what it seems. */
function badArgument({ entryPoint, host, upstreams }: GenerateArgs): string | undefined {
  if (entryPoint !== undefined && !/^[A-Za-z0-9_-]{1,64}$/.test(entryPoint))
    return `--entrypoint ${JSON.stringify(entryPoint)} is no name of an entry point`
  if (host !== undefined && isIP(host) !== 6 && !/^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(host))
    return `--host ${JSON.stringify(host)} is no host name and no address`
  const bad = upstreams.find((u) => !/^[^=]+=[A-Za-z0-9._-]+@[a-z0-9]+$/.test(u))
  return bad === undefined ? undefined : `--upstream ${JSON.stringify(bad)} is not NAME=SERVICE@PROVIDER`
}

function unknownUpstream(names: readonly string[], settings: Settings): string | undefined {
  const known = settings.routes.map((r) => r.service ?? r.id)
  const name = names.find((n) => !known.includes(n))
  if (name === undefined) return undefined
  const near = suggest(name, known)
  return `--upstream ${name}: no route has this target_service, nor this id${near === undefined ? '' : `. Did you mean ${near}?`}`
}

/** Beside our own certificate, where `traefik-bff certs` put Traefik's: good on one machine. */
function madeByCerts({ server }: Settings, kind: string | undefined): string | undefined {
  const dir = server.verifyTls === undefined ? undefined : dirname(server.verifyTls.cert)
  return kind === 'file' && dir !== undefined && existsSync(join(dir, 'traefik.pem')) ? dir : undefined
}

function notesOf(plan: Plan, { server }: Settings, { kind, host }: GenerateArgs): string[] {
  if (kind === 'file') return []
  const at = server.verifyListen ?? server.listen
  return [
    ...(host === undefined
      ? [`Traefik is told to find this service at ${HOSTS.get(kind ?? '') ?? ''}; --host says otherwise`]
      : []),
    ...(isLoopback(at.host) || isLoopback(server.listen.host)
      ? ['a listener is on loopback, where no other container reaches it: listen on 0.0.0.0']
      : []),
    ...[...plan.services.values()]
      .filter((url) => kind === 'kubernetes' && !isReachable(url.hostname))
      .map((url) => `no Service stands for ${url.host}: give it one, and its name in base_url`),
  ]
}

/** Beside it, then renamed: Traefik reads the whole old file or the whole new one. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}
