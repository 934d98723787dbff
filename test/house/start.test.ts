import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const ROOT = join(import.meta.dirname, '..', '..')
const run = promisify(execFile)

/** What a file imports, or requires, when it is loaded, and what it imports later; types are no imports. */
function importsOf(file: string): { readonly now: readonly string[]; readonly later: readonly string[] } {
  const text = readFileSync(join(ROOT, file), 'utf8')
  const all = (re: RegExp): string[] => [...text.matchAll(re)].map((m) => m[1] ?? '')
  return {
    now: [...all(/^(?:import|export)(?! type)(?:[^'"()]*? from)? '([^']+)'/gm), ...all(/\brequire\('([^']+)'\)/g)],
    later: all(/(?<!typeof )\bimport\('([^']+)'\)/g),
  }
}

/** Every file of ours that is loaded with one, itself too, and what else they import. */
function loadedWith(...entries: readonly string[]): { readonly files: Set<string>; readonly others: Set<string> } {
  const files = new Set<string>()
  const others = new Set<string>()
  const visit = (file: string): void => {
    if (files.has(file)) return
    files.add(file)
    for (const to of importsOf(file).now)
      if (to.startsWith('.')) visit(join(dirname(file), to))
      else others.add(to)
  }
  entries.forEach(visit)
  return { files, others }
}

const start = loadedWith('cli.ts', 'commands/serve.ts')

test('a start loads no library that only a sign-in, a proxied request or a scrape needs', () => {
  const libraries = [...start.others].filter((name) => !name.startsWith('node:'))
  assert.deepEqual(libraries.sort(), ['cookie-signature', 'pino', 'yaml', 'zod'])
})

test('a start imports none of the modules of Node that load much more', () => {
  // http: all of undici. util: the assertion library. http2, https, tls: what plain HTTP/1.1 does without.
  const dear = ['node:http', 'node:http2', 'node:https', 'node:tls', 'node:util']
  assert.deepEqual(
    dear.filter((name) => start.others.has(name)),
    [],
  )
})

test('a start loads zod without its messages in other languages', async () => {
  const counted = `import { createRequire } from 'node:module'
    await import('./commands/serve.ts')
    process.stdout.write(JSON.stringify(Object.keys(createRequire(import.meta.url).cache)))`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', counted], { cwd: ROOT })
  const files = (JSON.parse(stdout) as string[]).filter((path) => /[\\/]zod[\\/]/.test(path))
  const languages = files.filter((path) => /[\\/]locales[\\/](?!en\.|index\.)/.test(path))
  assert.ok(files.length > 10)
  assert.deepEqual(languages, [])
})

test('the image has compiled what is loaded later, too', () => {
  const compiled =
    /for \(const f of \[([^\]]+)\]\) import/.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'))?.[1] ?? ''
  const named = [...compiled.matchAll(/'([^']+)'/g)].map((m) => `${m[1] ?? ''}.ts`)
  const { files } = loadedWith('cli.ts', ...named)
  const later = [...files]
    .filter((file) => file !== 'cli.ts')
    .flatMap((file) => importsOf(file).later.map((to) => (to.startsWith('.') ? join(dirname(file), to) : to)))
    .filter((to) => to.endsWith('.ts'))
  assert.ok(named.includes('commands/serve.ts') && later.length > 5)
  assert.deepEqual(
    later.filter((file) => !files.has(file)),
    [],
  )
})
