import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/app.js': ['app.js', 'text/javascript; charset=utf-8'],
  '/style.css': ['style.css', 'text/css; charset=utf-8'],
}

/** Serves the SPA's three files, under a CSP without inline anything. */
export async function startSpa(
  o: { readonly port?: number; readonly host?: string } = {},
): Promise<{ readonly port: number; readonly server: Server; close(): Promise<void> }> {
  const server = createServer((req, res) => {
    const file = FILES[(req.url ?? '/').split('?')[0] ?? '/']
    res.setHeader(
      'Content-Security-Policy',
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    )
    res.setHeader('X-Content-Type-Options', 'nosniff')
    res.setHeader('Cache-Control', 'no-cache')
    if (file === undefined) {
      res.writeHead(404, { 'content-type': 'text/plain' }).end('not here\n')
      return
    }
    res.writeHead(200, { 'content-type': file[1] }).end(readFileSync(join(import.meta.dirname, file[0])))
  })
  await new Promise<void>((resolve) => server.listen(o.port ?? 0, o.host ?? '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    server,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
