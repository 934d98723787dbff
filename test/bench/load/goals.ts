import { rounded } from './client.ts'

/** One of the goals of docs/performance.md: a ratio of medians of one run, or another bound. */
export interface Goal {
  readonly name: string
  readonly value: number
  readonly at: 'least' | 'most'
  readonly bound: number
  readonly met: boolean
}

/** `undefined` where one side was not measured: then there is no goal either. */
export function goal(name: string, value: number | undefined, at: 'least' | 'most', bound: number): Goal[] {
  if (value === undefined || !Number.isFinite(value)) return []
  return [{ name, value: rounded(value), at, bound, met: at === 'least' ? value >= bound : value <= bound }]
}

/** The table of the goals that a bench measured, to standard error. */
export function printGoals(goals: readonly Goal[]): void {
  if (goals.length === 0) return
  console.error(`\n${'goal'.padEnd(70)}${'measured'.padStart(10)}${'wanted'.padStart(10)}`)
  for (const g of goals)
    console.error(
      g.name.padEnd(70) +
        String(g.value).padStart(10) +
        `${g.at === 'least' ? '≥' : '≤'} ${g.bound}`.padStart(10) +
        (g.met ? '  met' : '  NOT MET'),
    )
}

/** What a bench says at its end: its table was printed before; JSON goes to standard output. */
export function report(bench: string, figures: object, goals: readonly Goal[] = []): void {
  printGoals(goals)
  console.log(JSON.stringify({ bench, ...figures, goals }))
}

/** The table of a bench that has few figures: a line each. */
export function printFields(figures: unknown, path = ''): void {
  if (typeof figures !== 'object' || figures === null || Array.isArray(figures))
    console.error(`${path.padEnd(44)}${Array.isArray(figures) ? figures.join(' ') : String(figures)}`)
  else for (const [key, value] of Object.entries(figures)) printFields(value, path === '' ? key : `${path} ${key}`)
}
