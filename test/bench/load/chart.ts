import type { Figures } from './compare.ts'
import type { Goal } from './goals.ts'

/** What a run of all benches leaves in docs/bench.json. */
export interface Results {
  readonly date: string
  readonly machine: string
  readonly results: Readonly<Record<string, unknown>>
  readonly goals: readonly Goal[]
}

interface Bar {
  readonly label: string
  readonly value: number
  readonly text: string
  readonly ours: boolean
}

interface Group {
  readonly title: string
  readonly bars: readonly Bar[]
}

const WIDTH = 760
const LABEL = 250
const BAR = 20
const GAP = 6
const MOST = WIDTH - LABEL - 130

/** Bars by group, each group on a scale of its own; readable on light and on dark. */
export function chart(r: Results): string {
  const parts: string[] = []
  let y = 46
  for (const g of groups(r.results)) {
    const top = Math.max(...g.bars.map((b) => b.value))
    parts.push(`<text x="0" y="${y}" class="title">${escape(g.title)}</text>`)
    y += 12
    for (const b of g.bars) {
      const width = Math.max(1, Math.round((b.value / top) * MOST))
      parts.push(
        `<text x="${LABEL - 8}" y="${y + 14}" text-anchor="end">${escape(b.label)}</text>` +
          `<rect x="${LABEL}" y="${y}" width="${width}" height="${BAR}" rx="2" class="${b.ours ? 'ours' : 'other'}"/>` +
          `<text x="${LABEL + width + 6}" y="${y + 14}">${escape(b.text)}</text>`,
      )
      y += BAR + GAP
    }
    y += 30
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-label="Benches of traefik-bff">
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.small { fill: #59636e; font-size: 12px }
.ours { fill: #0a69da }
.other { fill: #afb8c1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .small { fill: #9198a1 }
  .ours { fill: #4493f8 }
  .other { fill: #545d68 }
}
</style>
<text x="0" y="14" class="small">${escape(`${r.date} · ${r.machine} · medians of interleaved rounds`)}</text>
${parts.join('\n')}
</svg>
`
}

function groups(results: Results['results']): Group[] {
  const of = <T>(bench: string): T | undefined => results[bench] as T | undefined
  const found: (Group | undefined)[] = [
    rates(
      'A check over HTTP/1.1: answers a second · processor time each',
      of<{ figures: Figures[] }>('verify')?.figures,
    ),
    rates(
      'Through Traefik, 32 clients: answers a second · processor time each',
      of<{ tables: Record<string, Figures[]> }>('traefik')?.tables['32'],
    ),
    rates(
      'Through a proxy to an upstream: answers a second · processor time each',
      of<{ figures: Figures[] }>('proxy')?.figures,
    ),
    tails(of('tails')),
    flat(
      'sessions',
      of<Growth>('growth')?.sizes.map((x) => [x.sessions, x.warm_cpu_us]),
    ),
    flat(
      'routes',
      of<Routes>('routes')?.figures.map((f, i) => [of<Routes>('routes')?.sizes[i]?.routes ?? 0, f.cpu_us]),
    ),
  ]
  return found.filter((g) => g !== undefined && g.bars.length > 0) as Group[]
}

function rates(title: string, figures: readonly Figures[] | undefined): Group | undefined {
  return figures === undefined
    ? undefined
    : {
        title,
        bars: figures.map((f) => ({
          label: f.name,
          value: f.per_s,
          text: `${f.per_s.toLocaleString('en')} · ${f.cpu_us} µs`,
          ours: f.name.startsWith('ours'),
        })),
      }
}

interface Tails {
  readonly rows: readonly {
    readonly name: string
    readonly of_saturation: number
    readonly us: { readonly p99: number }
  }[]
}

function tails(t: Tails | undefined): Group | undefined {
  return t === undefined
    ? undefined
    : {
        title: 'A check at a fixed rate: p99',
        bars: t.rows.map((r) => ({
          label: `${r.name}, at ${r.of_saturation * 100} % of saturation`,
          value: r.us.p99,
          text: `${(r.us.p99 / 1000).toFixed(1)} ms`,
          ours: r.name === 'ours',
        })),
      }
}

interface Growth {
  readonly sizes: readonly { readonly sessions: number; readonly warm_cpu_us: number }[]
}

interface Routes {
  readonly sizes: readonly { readonly routes: number }[]
  readonly figures: readonly Figures[]
}

function flat(what: string, rows: readonly (readonly [count: number, us: number])[] | undefined): Group | undefined {
  return rows === undefined
    ? undefined
    : {
        title: `A check among many ${what}: processor time`,
        bars: rows.map(([count, us]) => ({
          label: `${count.toLocaleString('en')} ${what}`,
          value: us,
          text: `${us} µs`,
          ours: true,
        })),
      }
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
