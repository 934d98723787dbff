#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

/** Not imported: an import reads every export, and with one of them Node loads its assertion library. */
const { parseArgs } = process.getBuiltinModule('node:util')

const HELP = `traefik-bff: a backend-for-frontend beside Traefik

Usage: traefik-bff <command> [options]

  serve     run the service (SIGTERM drains, SIGHUP or a changed file reloads)
  sessions list [--json]
            who is signed in, beside running servers
  sessions revoke <user or session id> | --all
            ends sessions everywhere, and their refresh tokens at the provider; what --all
            has ended stays so, even where the store is restored from a copy of before
  explain METHOD URL [--as SUB] [--claims JSON] [--ip ADDRESS] [--json]
            which route, which rule, which token, which headers, and why; nothing is asked
            of a store or a provider. Exit status 0 whatever the answer is
  check [--traefik FILE...]
            every fault in the config, with file and line, and how to mend it; with --traefik
            also what Traefik's own files (static and dynamic, YAML) do around this service
  generate file|labels|kubernetes [--entrypoint web] [--host NAME] [--tls] [--tls-dir DIR]
           [--upstream NAME=SERVICE@PROVIDER]... [--out FILE]
            Traefik's configuration for the routes, on standard output: a dynamic file, labels
            for docker compose, or Middleware and IngressRoute objects. --host is where Traefik
            finds this service, --tls takes TLS connections alone, --tls-dir is where Traefik
            has ca.pem and traefik.*; --upstream names a service of Traefik's for a
            target_service, or for a route without one; --out replaces a file in one go
  certs [--out DIR] [--host NAME]... [--force]
            a private CA and certificates for verify over HTTP/2 with mutual TLS, and what to
            paste on both sides; --force renews them and keeps the CA

Options:
  --config DIR   folder with settings.yaml and routes.yaml (BFF_CONFIG, else ./config)
  --help         this text
  --version      the version

Exit status: 0 fine, 1 faults, 2 cannot read or wrong usage.
`

const to =
  (stream: NodeJS.WriteStream) =>
  (line: string): void =>
    void stream.write(`${line}\n`)

/** One session id in 64 begins with a dash, and is no option. */
function idsLast(argv: readonly string[]): string[] {
  const isId = (arg: string): boolean => /^-[\w-]{21}$/.test(arg)
  const ids = argv[0] === 'sessions' && !argv.includes('--') ? argv.filter(isId) : []
  return ids.length === 0 ? [...argv] : [...argv.filter((arg) => !isId(arg)), '--', ...ids]
}

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: idsLast(argv),
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      all: { type: 'boolean' },
      traefik: { type: 'string', multiple: true },
      as: { type: 'string' },
      claims: { type: 'string' },
      ip: { type: 'string' },
      json: { type: 'boolean' },
      out: { type: 'string' },
      host: { type: 'string', multiple: true },
      force: { type: 'boolean' },
      entrypoint: { type: 'string' },
      tls: { type: 'boolean' },
      'tls-dir': { type: 'string' },
      upstream: { type: 'string', multiple: true },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
    },
  })
  const dir = values.config ?? process.env['BFF_CONFIG'] ?? './config'
  const [command, ...rest] = positionals
  if (values.version === true) {
    const { default: pkg } = await import('./package.json', { with: { type: 'json' } })
    process.stdout.write(`${pkg.version}\n`)
    return 0
  }
  if (values.help === true || command === undefined) {
    process.stdout.write(HELP)
    return values.help === true ? 0 : 2
  }
  switch (command) {
    case 'serve': {
      const { serve } = await import('./commands/serve.ts')
      return serve(dir, process.env)
    }
    case 'explain': {
      const { explainCommand } = await import('./commands/explain.ts')
      if (rest.length !== 2) {
        process.stderr.write(`traefik-bff: explain METHOD URL\n\n${HELP}`)
        return 2
      }
      const line = (to: NodeJS.WriteStream) => (text: string) => void to.write(`${text}\n`)
      const asked = { method: rest[0] ?? '', url: rest[1] ?? '', as: values.as, claims: values.claims, ip: values.ip }
      return explainCommand(dir, process.env, asked, values.json === true, line(process.stdout), line(process.stderr))
    }
    case 'check': {
      const { checkConfig } = await import('./commands/check.ts')
      // `--traefik FILE…`: what follows belongs to it too.
      const files = values.traefik === undefined ? [] : [...values.traefik, ...rest]
      if (files.length === 0 && rest.length > 0) {
        process.stderr.write(`traefik-bff: check [--config DIR] [--traefik FILE…]\n\n${HELP}`)
        return 2
      }
      return checkConfig(dir, process.env, to(process.stdout), files)
    }
    case 'sessions': {
      const { sessions } = await import('./commands/sessions.ts')
      const args = { action: rest[0], target: rest[1], all: values.all === true, json: values.json === true }
      return rest.length > 2 ? 2 : sessions(dir, process.env, args, to(process.stdout), to(process.stderr))
    }
    case 'generate': {
      const { generate } = await import('./commands/generate.ts')
      const args = {
        kind: rest.length === 1 ? rest[0] : undefined,
        entryPoint: values.entrypoint,
        host: values.host?.at(-1),
        tls: values.tls === true,
        tlsDir: values['tls-dir'],
        upstreams: values.upstream ?? [],
        out: values.out,
      }
      return generate(dir, process.env, args, (text) => void process.stdout.write(text), to(process.stderr))
    }
    case 'certs': {
      const { certs } = await import('./commands/certs.ts')
      const args = { out: values.out, hosts: values.host ?? [], force: values.force === true }
      return certs(dir, args, to(process.stdout), to(process.stderr))
    }
    default:
      process.stderr.write(
        `traefik-bff: no command "${command}"${rest.length > 0 ? ` (${rest.join(' ')})` : ''}\n\n${HELP}`,
      )
      return 2
  }
}

// Beside the code, so that whoever can write one can write the other; where that cannot be written, nothing is kept.
enableCompileCache(join(import.meta.dirname, '.cache', 'compiled'))

// `| head` closes the pipe before everything is said.
process.stdout.on('error', (e: NodeJS.ErrnoException) => {
  if (e.code === 'EPIPE') process.exit(0)
  throw e
})

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (e) {
  process.stderr.write(`traefik-bff: ${e instanceof Error ? e.message : 'failed'}\n`)
  process.exitCode = 2
}
