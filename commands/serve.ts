import { statSync, watchFile, unwatchFile } from 'node:fs'
import { join } from 'node:path'
import { openApp, type App } from '../app.ts'
import { formatFinding } from '../config/finding.ts'
import { loadConfig } from '../config/load.ts'
import type { Settings } from '../config/types.ts'
import { createTelemetry, type Telemetry } from '../middleware/telemetry/telemetry.ts'

/** Changed files are looked at this often: polling also sees a ConfigMap's symlinks swapped, where watching does not. */
const POLL_MS = 1000

/** A file that was changed so lately may not be whole yet: it is read once it was left alone so long. */
const SETTLED_MS = 250

/** A Ctrl-C reaches us twice where npm passes on what the terminal has sent to us already. */
const SAME_KEY_MS = 300

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
  const files = ['settings.yaml', 'routes.yaml'].map((f) => join(dir, f))
  const { ask: again, stop: askNoMore } = onceLeftAlone(files, () => reload(dir, env, app, telemetry))
  process.on('SIGHUP', again)
  const { first, hurry } = signals()
  // Said at every level: scripts wait for it, and may signal at once.
  if (telemetry.log.isLevelEnabled('info')) telemetry.log.info({ listeners: app.listeners }, 'traefik-bff ready')
  else
    process.stdout.write(
      `${JSON.stringify({ level: 'info', time: new Date().toISOString(), listeners: app.listeners, msg: 'traefik-bff ready' })}\n`,
    )
  for (const file of files)
    watchFile(
      file,
      { interval: POLL_MS, persistent: false },
      (now, before) => now.mtimeMs !== before.mtimeMs && again(),
    )
  const signal = await first
  for (const file of files) unwatchFile(file)
  askNoMore()
  await app.stop({ atOnce: signal === 'SIGINT', hurry })
  // Whatever an impatient end left open must not keep the process.
  if (hurry.aborted) process.exit(1)
  return 0
}

/** Whoever asks gets `load` called at once, or when nobody has changed a file for a while: half a file can be valid YAML. */
function onceLeftAlone(
  files: readonly string[],
  load: () => void,
): { readonly ask: () => void; readonly stop: () => void } {
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    timer = undefined
    const age = Math.min(...files.map(ageMs))
    // One in the future tells of a clock, not of a writer.
    if (age >= 0 && age < SETTLED_MS) timer = setTimeout(look, SETTLED_MS - age)
    else load()
  }
  return {
    ask: () => {
      if (timer === undefined) look()
    },
    stop: () => clearTimeout(timer),
  }
}

/** How long ago a file was changed; one that is not there keeps nobody waiting. */
function ageMs(file: string): number {
  try {
    return Date.now() - statSync(file).mtimeMs
  } catch {
    return Infinity
  }
}

/** SIGTERM drains; Ctrl-C ends without waiting for balancers; the second signal of either kind cuts what is in hand. */
function signals(): { readonly first: Promise<NodeJS.Signals>; readonly hurry: AbortSignal } {
  const again = new AbortController()
  const first = new Promise<NodeJS.Signals>((resolve) => {
    let askedAt: number | undefined
    for (const name of ['SIGTERM', 'SIGINT'] as const)
      process.on(name, () => {
        askedAt ??= performance.now()
        if (performance.now() - askedAt > SAME_KEY_MS) again.abort()
        resolve(name)
      })
  })
  return { first, hurry: again.signal }
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
