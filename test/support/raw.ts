import type { RawRequest } from '../../middleware/types.ts'

/** A raw request as a shell would make it, from header lines. */
export function raw(
  target: string,
  headers: readonly (readonly [string, string])[],
  more: { readonly method?: string; readonly peer?: Partial<RawRequest['peer']> } = {},
): RawRequest {
  const lines = headers.map(([name, value]) => [name.toLowerCase(), value] as const)
  return {
    method: more.method ?? 'GET',
    target,
    all: (name) => lines.filter(([n]) => n === name).map(([, v]) => v),
    names: () => lines.map(([n]) => n),
    peer: { address: '127.0.0.1', certified: false, tls: false, ...more.peer },
  }
}
