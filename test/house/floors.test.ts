import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '..', '..')

/** Lower floors first; a file imports from its own floor and from lower ones. */
const FLOORS: readonly (readonly string[])[] = [
  ['config'],
  ['middleware'],
  ['proxy'],
  ['traefik'],
  ['app.ts', 'compose.ts', 'listeners'],
  ['commands'],
  ['cli.ts'],
]
/** Rooms of the middleware, in order: each reads only those above it. */
const ROOMS = [
  'telemetry',
  'provider',
  'session',
  'broker',
  'identity',
  'login',
  'decide',
  'mouths',
  'endpoints',
  'pages',
]

function files(dir: string): string[] {
  if (!existsSync(join(ROOT, dir))) return []
  return readdirSync(join(ROOT, dir), { withFileTypes: true }).flatMap((e) => {
    const path = join(dir, e.name)
    return e.isDirectory() ? files(path) : e.name.endsWith('.ts') ? [path] : []
  })
}

function imports(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((m) =>
    relative(ROOT, join(ROOT, dirname(file), m[1] ?? '')),
  )
}

const floorOf = (file: string): number => FLOORS.findIndex((names) => names.includes(file.split(sep)[0] ?? ''))
const roomOf = (file: string): number =>
  file.startsWith(`middleware${sep}`) ? ROOMS.indexOf(file.split(sep)[1] ?? '') : -1
const product = [
  ...['config', 'middleware', 'proxy', 'traefik', 'listeners', 'commands'].flatMap(files),
  'app.ts',
  'compose.ts',
  'cli.ts',
]

test('a file imports only from its own floor and from lower ones', () => {
  const wrong = product.flatMap((file) =>
    imports(file).flatMap((to) => (floorOf(to) > floorOf(file) ? [`${file} -> ${to}`] : [])),
  )
  assert.deepEqual(wrong, [])
})

test('a room of the middleware reads only its own files and the rooms above it', () => {
  const wrong = product.flatMap((file) =>
    imports(file).flatMap((to) => {
      const [from, at] = [roomOf(file), roomOf(to)]
      return from !== -1 && at > from ? [`${file} -> ${to}`] : []
    }),
  )
  assert.deepEqual(wrong, [])
})

test('nothing in the middleware or the proxy reads traefik/, and traefik/ reads no proxy', () => {
  const wrong = product.flatMap((file) =>
    imports(file).flatMap((to) => {
      const bad =
        (/^(?:middleware|proxy)/.test(file) && to.startsWith('traefik')) ||
        (file.startsWith('traefik') && to.startsWith('proxy'))
      return bad ? [`${file} -> ${to}`] : []
    }),
  )
  assert.deepEqual(wrong, [])
})

test('express-session lives in login/ alone, with the stores it writes to', () => {
  const users = product.filter((file) => /from 'express-session'/.test(readFileSync(join(ROOT, file), 'utf8')))
  const outside = users.filter((f) => !/^middleware[/\\](?:login|session)[/\\]/.test(f))
  assert.deepEqual(outside, [])
})

test('the product never imports the demo or the tests', () => {
  const wrong = product.flatMap((file) => imports(file).filter((to) => /^(?:demo|test)[/\\]/.test(to)))
  assert.deepEqual(wrong, [])
})
