import { formatFinding, loadConfig } from '../config/load.ts'
import { systemClock } from '../middleware/clock.ts'
import { createGeneration } from '../middleware/decide/generation.ts'
import { explain, readQuestion, type Explanation, type Outcome } from '../middleware/endpoints/explain.ts'

type Print = (text: string) => void

/**
 * `traefik-bff explain METHOD URL`: what a request would meet, by the config in DIR alone.
 *
 * @returns the exit code: 0 explained, whatever the answer; 1 the config has faults; 2 it cannot be read, or wrong usage.
 */
export function explainCommand(
  dir: string,
  env: NodeJS.ProcessEnv,
  asked: Parameters<typeof readQuestion>[0],
  asJson: boolean,
  print: Print,
  complain: Print,
): number {
  const question = readQuestion({ ...asked, method: asked.method?.toUpperCase() })
  if (typeof question === 'string') {
    complain(`traefik-bff: ${question}`)
    return 2
  }
  const got = loadConfig(dir, env)
  if (!got.ok) {
    for (const f of got.faults) complain(formatFinding(f))
    return got.unreadable ? 2 : 1
  }
  const e = explain(question, createGeneration(1, got.settings), systemClock.wallMs())
  if (asJson) print(JSON.stringify(e, null, 2))
  else for (const line of linesOf(e)) print(line)
  return 0
}

function linesOf(e: Explanation): string[] {
  const row = (name: string, text: string): string => `${name.padEnd(11)} ${visible(text)}`
  const { route, token } = e
  const over = (route?.['over'] ?? []) as readonly {
    readonly id: string
    readonly path: string
    readonly host?: string
  }[]
  const others = over.map((r) => `${r.id} (${r.host ?? ''}${r.path})`).join(', ')
  return [
    row('request', `${e.method} ${e.url} as ${e.who}`),
    row(
      'route',
      route === undefined
        ? 'none'
        : `${String(route['id'])} (${typeof route['host'] === 'string' ? route['host'] : ''}${String(route['path'])}, auth: ${String(route['auth'])})${others === '' ? '' : `, over ${others}`}`,
    ),
    ...e.rules.map((r) => row('rule', `${r.holds ? 'holds' : 'FAILS'}  ${r.rule} (${r.of})`)),
    ...(token === undefined
      ? []
      : [
          row(
            'token',
            Object.entries(token)
              .map(([k, v]) => `${k}: ${String(v)}`)
              .join(', '),
          ),
        ]),
    ...e.headers.map(([n, v]) => row('header', `${n}: ${v}`)),
    ...(e.csrf === undefined ? [] : [row('csrf', `${e.csrf.mode}; without proof: ${e.csrf.withoutProof}`)]),
    row('navigation', outcome(e.navigation)),
    row('xhr', outcome(e.xhr)),
  ]
}

/** Claims come from anywhere: none of them moves the cursor or begins a line of its own. Header values are UTF-8 bytes. */
function visible(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function outcome(o: Outcome): string {
  const why = o.why === undefined ? '' : `: ${o.why}`
  return `${o.status}${o.code === undefined ? '' : ` ${o.code}`} at ${o.step}${why}`
}
