import type { Settings } from '../../config/types.ts'

const ALLOW = {
  slash: 'allowEncodedSlash',
  percent: 'allowEncodedPercent',
  semicolon: 'allowEncodedSemicolon',
} as const
const REFUSED = [
  'allowEncodedSlash',
  'allowEncodedBackSlash',
  'allowEncodedNullCharacter',
  'allowEncodedSemicolon',
  'allowEncodedPercent',
  'allowEncodedQuestionMark',
  'allowEncodedHash',
] as const

/** What the entry point needs, as `key: value` below `entryPoints.<name>`; a dynamic file cannot say it. */
function entryPointNeeds(settings: Settings): readonly (readonly [path: readonly string[], value: string])[] {
  const taken = new Set<string>(settings.routes.flatMap((r) => r.encoded.map((e) => ALLOW[e])))
  return [
    [['forwardedHeaders', 'insecure'], 'false'],
    [['http', 'maxHeaderBytes'], '32768'],
    [['http', 'aliasHeadersStrategy'], 'reject'],
    [['http', 'sanitizePath'], 'true'],
    ...REFUSED.map((name) => [['http', 'encodedCharacters', name], String(taken.has(name))] as const),
  ]
}

/** As lines of traefik.yaml. */
export function staticYaml(settings: Settings, entryPoint: string): readonly string[] {
  const lines = ['entryPoints:', `  ${entryPoint}:`]
  let at: readonly string[] = []
  for (const [path, value] of entryPointNeeds(settings)) {
    const groups = path.slice(0, -1)
    groups.forEach((group, i) => {
      if (at[i] !== group || at.length < i) lines.push(`${'  '.repeat(i + 2)}${group}:`)
    })
    at = groups
    lines.push(`${'  '.repeat(path.length + 1)}${path.at(-1) ?? ''}: ${value}`)
  }
  return lines
}

/** As arguments of the command line, which is how a container is told. */
export function staticArguments(settings: Settings, entryPoint: string): readonly string[] {
  return entryPointNeeds(settings).map(([path, value]) => `--entryPoints.${entryPoint}.${path.join('.')}=${value}`)
}
