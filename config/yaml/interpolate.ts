import { readFileSync, statSync } from 'node:fs'
import { Refused } from '../finding.ts'

const REFERENCE = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}\n]*))?\}/g
const MASKED = '{}[],:# &*!|>%@`?'
const PLAIN_AREA = 0xe000
const MAX_SECRET_FILE = 64 * 1024

/**
 * Hides from YAML what stands inside `${…}`, one character for one, so that every offset stays true.
 * Without it `{ client_secret: ${NAME} }`, a flow map, would end at the reference's brace.
 */
export function mask(text: string): string {
  return text.replace(REFERENCE, (whole) => {
    let out = ''
    for (const ch of whole) {
      const i = MASKED.indexOf(ch)
      out += i === -1 ? ch : String.fromCharCode(PLAIN_AREA + i)
    }
    return out
  })
}

/** Whether the text holds characters that {@link mask} uses; such a file is refused, for nobody writes them on purpose. */
export function holdsMask(text: string): boolean {
  return /[\ue000-\uf8ff]/.test(text)
}

/** Undoes {@link mask}. */
export function unmask(text: string): string {
  return text.replace(/[\ue000-\ue01f]/g, (ch) => MASKED[ch.charCodeAt(0) - PLAIN_AREA] ?? ch)
}

/**
 * A YAML scalar with its `${NAME}` and `${NAME:-default}` filled in from `env`, after YAML was parsed: a value can bring
 * no keys of its own. `$${` stands for a plain `${`. Where NAME is unset, `NAME_FILE` names a mounted secret's file.
 *
 * @returns the text, or every problem in it; no problem holds a value.
 */
export function interpolate(text: string, env: NodeJS.ProcessEnv): string | readonly Refused[] {
  if (!text.includes('${')) return text
  const faults: Refused[] = []
  const rest = text.replaceAll('$${', '\ue100').replace(REFERENCE, (_whole, name: string, fallback?: string) => {
    if (fallback?.includes('${') === true) {
      faults.push(malformed())
      return ''
    }
    const value = lookUp(name, fallback, env)
    if (value instanceof Refused) faults.push(value)
    return value instanceof Refused ? '' : value.replaceAll('${', '\ue100')
  })
  if (rest.includes('${') && faults.length === 0) faults.push(malformed())
  return faults.length > 0 ? faults : rest.replaceAll('\ue100', '${')
}

function malformed(): Refused {
  const mend = 'Write ${NAME} or ${NAME:-default}, a name of letters, digits and _; $${ stands for a plain ${.'
  return new Refused('BAD_REFERENCE', 'a ${…} here is neither ${NAME} nor ${NAME:-default}', mend)
}

function lookUp(name: string, fallback: string | undefined, env: NodeJS.ProcessEnv): string | Refused {
  const value = env[name]
  const file = env[`${name}_FILE`]
  if (file !== undefined && file !== '') {
    if (value === undefined || value === '') return readSecret(name, file)
    return new Refused('ENV_TWICE', `both ${name} and ${name}_FILE are set`, `Unset one of the two.`)
  }
  // As in a shell, `:-` also stands in for a name that is set to nothing.
  if (fallback !== undefined) return value === undefined || value === '' ? fallback : value
  if (value !== undefined) return value
  const mend = `Set ${name}, or ${name}_FILE to a file that holds it, or write \${${name}:-default}.`
  return new Refused('ENV_UNSET', `the environment has no ${name}`, mend)
}

function readSecret(name: string, file: string): string | Refused {
  try {
    // A pipe or a device would block the start, or never end.
    const stat = statSync(file)
    if (!stat.isFile() || stat.size > MAX_SECRET_FILE)
      return new Refused('ENV_FILE', `${name}_FILE names no plain file of up to 64 KiB`)
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch {
    const mend = `Check that the file exists and that this process may read it.`
    return new Refused('ENV_FILE', `the file that ${name}_FILE names cannot be read`, mend)
  }
}
