import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CACHE, exists } from '../../demo/launcher/wheel.ts'

const run = promisify(execFile)

/** PyJWT, and what it needs for ES256. */
const PACKAGES = ['PyJWT==2.15.1', 'cryptography==50.0.2', 'cffi==2.1.1', 'pycparser==3.12']

/**
 * A folder for PYTHONPATH with PyJWT in it, fetched once with pip into `.cache/`.
 *
 * @throws where it cannot be fetched: with what pip said, and how to bring it oneself.
 */
export async function pyJwt(): Promise<string> {
  const home = join(CACHE, `python-${PACKAGES.join('+').replaceAll('==', '-')}`)
  if (await exists(home)) return home
  await mkdir(CACHE, { recursive: true })
  const aside = await mkdtemp(join(CACHE, 'python-'))
  try {
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:']
    await run('python3', [...pip, '--target', aside, ...PACKAGES], { timeout: 240_000 })
    // Whoever comes second finds the place taken, by the same thing.
    await rename(aside, home).catch(() => undefined)
    return home
  } catch (e) {
    throw new Error(`PyJWT cannot be fetched; put ${PACKAGES.join(' ')} into ${home} (pip install --target)`, {
      cause: e,
    })
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
}
