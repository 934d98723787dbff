import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { buildSettings } from './build/settings.ts'
import { checkAll } from './check/check.ts'
import { Findings, pathKey } from './finding.ts'
import type { ConfigFile, Locate } from './finding.ts'
import type { JsonSchema } from './schema/json-schema.ts'
import { parseWith } from './schema/parse.ts'
import { routesSchema, settingsSchema } from './schema/schema.ts'
import type { LoadResult } from './types.ts'
import { readYaml } from './yaml/document.ts'
import type { YamlFile } from './yaml/document.ts'

export { formatFinding } from './finding.ts'

/**
 * Reads `settings.yaml` and `routes.yaml` in `dir`, with `${NAME}` and `${NAME_FILE}` from `env`.
 * Never throws for what an operator wrote: every fault is in the result, each with its file and line, all of them at once.
 *
 * @returns `unreadable` where there is no settings.yaml to judge (exit 2 of `traefik-bff check`).
 */
export function loadConfig(dir: string, env: NodeJS.ProcessEnv): LoadResult {
  const names = { settings: join(dir, 'settings.yaml'), routes: join(dir, 'routes.yaml') }
  const files = { settings: readFile(names.settings), routes: readFile(names.routes) }
  const yaml = { settings: readYaml(files.settings ?? '', env), routes: readYaml(files.routes ?? '', env) }
  const found = new Findings(locator(names, yaml))
  for (const file of ['settings', 'routes'] as const) {
    if (files[file] === undefined)
      found.fault([file], {
        code: 'FILE_MISSING',
        message: 'this file cannot be read',
        mend: 'Create it, or name another directory with --config.',
      })
    tellYaml(file, names[file], yaml[file], found)
  }
  if (files.settings === undefined) return failed(found, true)
  return judge(dir, yaml, found)
}

function judge(dir: string, yaml: Record<ConfigFile, YamlFile>, found: Findings): LoadResult {
  // The schema's own pass throws faulty values away; what looks at all values needs them as they were.
  const raw = structuredClone(yaml.settings.value)
  const settings = parseWith(settingsSchema, writtenSchema('schema.json'), 'settings', yaml.settings.value, found)
  const routes = parseWith(routesSchema, writtenSchema('schema-routes.json'), 'routes', yaml.routes.value, found)
  // A file that is no YAML, or no map, leaves nothing to compare the other one with.
  if (settings === undefined || routes === undefined || unread(yaml.settings) || unread(yaml.routes))
    return failed(found, false)
  const draft = { settings, routes, readFile: (path: string) => readFile(resolve(dir, path)) }
  checkAll({ ...draft, report: found }, raw)
  if (found.sorted('fault').length > 0) return failed(found, false)
  return { ok: true, settings: buildSettings(draft, resolve(dir)), warnings: found.sorted('warning') }
}

/** As it is checked in (`npm run schema`), which a test holds: making it from zod's takes longer than all of the reading. */
function writtenSchema(name: string): JsonSchema {
  return JSON.parse(readFileSync(join(import.meta.dirname, name), 'utf8')) as JsonSchema
}

const unread = (file: YamlFile): boolean => file.value === undefined

function failed(found: Findings, unreadable: boolean): LoadResult {
  return { ok: false, faults: found.sorted('fault'), warnings: found.sorted('warning'), unreadable }
}

function tellYaml(file: ConfigFile, name: string, yaml: YamlFile, found: Findings): void {
  for (const { line, path, why } of yaml.faults) {
    found.take({ severity: 'fault', file: name, line, ...why.problem })
    if (path !== undefined) found.spoil([file, ...path])
  }
  // Nothing was read: that all keys are missing would be said of a file that holds them.
  if (yaml.faults.length > 0 && yaml.value === undefined) found.spoil([file])
}

/** A place's own line, or that of the nearest thing around it that has one. */
function locator(names: Record<ConfigFile, string>, yaml: Record<ConfigFile, YamlFile>): Locate {
  return ([file, ...path]) => {
    for (let n = path.length; n >= 0; n -= 1) {
      const line = yaml[file].lines.get(pathKey(path.slice(0, n)))
      if (line !== undefined) return { file: names[file], line }
    }
    return { file: names[file], line: 1 }
  }
}

function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
