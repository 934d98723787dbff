import { watchFile, unwatchFile } from 'node:fs'
import { join } from 'node:path'
import { openApp, type App } from '../app.ts'
import { formatFinding } from '../config/finding.ts'
import { loadConfig } from '../config/load.ts'
import type { Settings } from '../config/types.ts'
import { createTelemetry, type Telemetry } from '../middleware/telemetry/telemetry.ts'

/** Changed files are looked at this often: polling also sees a ConfigMap's symlinks swapped, where watching does not. */
const POLL_MS = 1000

/**
 * `traefik-bff serve`: runs until SIGTERM or SIGINT. A config fault stops the start with every fault listed; a bad reload
 * keeps the old config and says so. Resolves with the exit code.
 */
export async function serve(dir: string, env: NodeJS.ProcessEnv): Promise<number> {
  const settings = readOrExplain(dir, env)
  if (typeof settings === 'number') return settings
  const telemetry = createTelemetry(settings.log.level)
  let app: App
  try {
    app = await openApp({ settings, telemetry })
  } catch (e) {
    process.stderr.write(`traefik-bff: cannot start: ${explain(e)}\n`)
    return 1
  }
  // Said at every level: scripts wait for it.
  if (telemetry.log.isLevelEnabled('info')) telemetry.log.info({ listeners: app.listeners }, 'traefik-bff ready')
  else
    process.stdout.write(
      `${JSON.stringify({ level: 'info', time: new Date().toISOString(), listeners: app.listeners, msg: 'traefik-bff ready' })}\n`,
    )
  const files = ['settings.yaml', 'routes.yaml'].map((f) => join(dir, f))
  const again = (): void => reload(dir, env, app, telemetry)
  for (const file of files)
    watchFile(
      file,
      { interval: POLL_MS, persistent: false },
      (now, before) => now.mtimeMs !== before.mtimeMs && again(),
    )
  process.on('SIGHUP', again)
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve())
    process.once('SIGINT', () => resolve())
  })
  for (const file of files) unwatchFile(file)
  await app.stop()
  return 0
}

function readOrExplain(dir: string, env: NodeJS.ProcessEnv): Settings | number {
  const loaded = loadConfig(dir, env)
  for (const w of loaded.warnings) process.stderr.write(`${formatFinding(w)}\n`)
  if (loaded.ok) return loaded.settings
  for (const f of loaded.faults) process.stderr.write(`${formatFinding(f)}\n`)
  process.stderr.write(
    `traefik-bff: not started: ${loaded.faults.length} fault${loaded.faults.length === 1 ? '' : 's'} in the config\n`,
  )
  return loaded.unreadable ? 2 : 1
}

function reload(dir: string, env: NodeJS.ProcessEnv, app: App, telemetry: Telemetry): void {
  const loaded = loadConfig(dir, env)
  if (!loaded.ok) {
    telemetry.emit({ name: 'config_reload_failed', fields: { faults: loaded.faults.map((f) => formatFinding(f)) } })
    return
  }
  const restart = app.reload(loaded.settings)
  telemetry.emit({
    name: 'config_reloaded',
    fields: {
      warnings: loaded.warnings.map((w) => formatFinding(w)),
      ...(restart.length === 0 ? {} : { needs_restart: restart }),
    },
  })
}

function explain(e: unknown): string {
  if (e instanceof Error && 'code' in e && e.code === 'EADDRINUSE')
    return `${e.message}. Another process listens there; change server.listen or stop it.`
  return e instanceof Error ? e.message : 'unknown error'
}
