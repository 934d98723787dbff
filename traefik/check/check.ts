import type { Finding, Settings } from '../../config/types.ts'
import { checkDynamic } from './dynamic.ts'
import { get, readTraefikFile } from './facts.ts'
import { checkStatic, takesAliases } from './static.ts'

export interface NamedText {
  readonly name: string
  readonly text: string
}

/**
 * Traefik's own files beside our config: static and dynamic ones in any number, told apart by what is in them. What is said is
 * what a real Traefik does with them around us.
 */
export function checkTraefik(settings: Settings, files: readonly NamedText[]): readonly Finding[] {
  const read = files.map(({ name, text }) => readTraefikFile(name, text))
  const statics = read.filter(({ file }) => get(file.root, 'entryPoints') !== undefined)
  const aliasesStopped = statics.length > 0 && !statics.some(({ file }) => takesAliases(file))
  let checked = false
  for (const { file } of read) {
    checkStatic(file, settings)
    if (checkDynamic({ file, settings, aliasesStopped })) checked = true
  }
  const [first] = read
  const wanted = settings.routes.some((r) => r.upstreamPath === undefined)
  const dynamic = read.some(({ file }) => get(file.root, 'http') !== undefined)
  if (first !== undefined && dynamic && wanted && !checked)
    first.file.say(
      'warning',
      [],
      'TRAEFIK_NO_CHECK',
      'no forwardAuth of these files leads to this service, and there are routes in header mode',
    )
  return read.flatMap(({ findings }) => findings)
}
