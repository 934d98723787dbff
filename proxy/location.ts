import { basePrefix } from './target.ts'
import type { UpstreamTarget } from './types.ts'

/**
 * A redirect that points at the upstream's own address would lead the browser past us: it goes back through
 * `upstream_path` to the public path. A relative one is the client's to resolve, a foreign one is none of our business,
 * and so is a place at the upstream that this route does not show: all of these pass as they are.
 */
export function rewriteLocation(value: string, target: UpstreamTarget): string {
  const { base } = target
  // `//host/x` names a host too; anything else without a scheme is relative.
  if (!/^(?:[a-z][a-z0-9+.-]*:)?\/\//i.test(value)) return value
  const url = URL.parse(value, base)
  if (url?.origin !== base.origin) return value
  const path = publicPathOf(url.pathname, target)
  return path === undefined ? value : path + url.search + url.hash
}

function publicPathOf(path: string, { base, publicPath, upstreamPath }: UpstreamTarget): string | undefined {
  const open = upstreamPath.endsWith('/{path}')
  const stem = basePrefix(base) + (open ? upstreamPath.slice(0, -'/{path}'.length) : upstreamPath)
  const pattern = publicPath.endsWith('/*') ? publicPath.slice(0, -2) : publicPath
  if (path === stem || (stem === '' && path === '/')) return pattern === '' ? '/' : pattern
  // Two slashes at the front would name a host.
  if (!open || !path.startsWith(`${stem}/`) || (pattern === '' && path.startsWith(`${stem}//`))) return undefined
  return pattern + path.slice(stem.length)
}
