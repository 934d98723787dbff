import type { Emit } from '../../types.ts'

/** What fails: the connection (or the file) itself, reading, or writing alone. */
export type OutageKind = 'connection' | 'read' | 'write'

export interface Outage {
  begins(kind: OutageKind, detail: string): void
  over(kind: OutageKind): void
  /** Of what is out now; undefined while nothing is. */
  detail(): string | undefined
}

/** One line when an outage begins and one when it ends. A full or read-only store still reads: that is an outage of writes. */
export function tellOutages(store: string, emit: Emit): Outage {
  const open = new Map<OutageKind, string>()
  return {
    begins: (kind, detail) => {
      if (open.size === 0) emit({ name: 'store_down', fields: { store, kind, detail } })
      open.set(kind, detail)
    },
    over: (kind) => {
      if (open.size === 0) return
      open.delete(kind)
      // Any answer proves the connection; a write that succeeds proves reading too.
      open.delete('connection')
      if (kind === 'write') open.delete('read')
      if (open.size === 0) emit({ name: 'store_up', fields: { store } })
    },
    detail: () => [...open.values()][0],
  }
}
