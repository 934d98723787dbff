import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onPath } from '../../../demo/launcher/find.ts'
import { answers, freePort, start, until } from '../../../demo/launcher/index.ts'
import type { Rival } from './client.ts'

/** One worker of nginx before an upstream, connections kept alive on both sides; undefined where there is none (NGINX_BIN, PATH). */
export async function startNginx(dir: string, upstream: number): Promise<Rival | undefined> {
  const program = process.env['NGINX_BIN'] ?? (await onPath('nginx'))
  if (program === undefined || program === '') return undefined
  const port = await freePort()
  const home = join(dir, 'nginx')
  mkdirSync(home)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const config = `daemon off;
master_process off;
pid ${home}/pid;
error_log ${home}/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000;
${temporary.map((t) => `  ${t}_temp_path ${home}/${t};`).join('\n')}
  upstream api { server 127.0.0.1:${upstream}; keepalive 64; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`
  writeFileSync(join(home, 'nginx.conf'), config)
  const running = start(program, ['-p', home, '-e', join(home, 'error.log'), '-c', join(home, 'nginx.conf')])
  await until('nginx', () => answers(port), { running })
  return { pid: running.pid, port, stop: () => void running.stop() }
}
