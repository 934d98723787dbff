/**
 * `npm run bench -- login-flood [starts]`: a hundred thousand sign-ins that nobody finishes. What is left in the store, and
 * how does the memory grow? Client and service share this process, so the memory is an upper bound of the service's own.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { PUBLIC_HOST, startService } from '../support/service.ts'

const starts = Number(process.argv[2] ?? 100_000)
const dir = mkdtempSync(join(tmpdir(), 'bff-flood-'))
const file = join(dir, 'sessions.db')
const s = await startService({
  store: `sqlite:${file}`,
  settings: (base) => {
    base['limits'] = { login: '100000/s' }
  },
})
const agent = new Agent({ keepAlive: true, maxSockets: 16 })
const rss = (): number => Math.round(process.memoryUsage().rss / 1_048_576)

function start(i: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = {
      'x-forwarded-host': PUBLIC_HOST,
      'x-forwarded-for': `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`,
    }
    const req = request(`${s.url}/auth/login`, { agent, headers }, (res) => {
      res.resume()
      res.on('end', () => (res.statusCode === 302 ? resolve() : reject(new Error(`login answered ${res.statusCode}`))))
    })
    req.on('error', reject)
    req.end()
  })
}

try {
  let next = 0
  const memory: number[] = []
  const began = performance.now()
  const worker = async (): Promise<void> => {
    while (next < starts) {
      const i = next++
      if (i % Math.ceil(starts / 10) === 0) memory.push(rss())
      await start(i)
    }
  }
  await Promise.all(Array.from({ length: 16 }, worker))
  memory.push(rss())
  const seconds = (performance.now() - began) / 1000
  const db = new DatabaseSync(file, { readOnly: true })
  const tables = db.prepare("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'").all()
  const rows = Object.fromEntries(
    tables.map(({ name }) => [
      String(name),
      Number(db.prepare(`select count(*) as n from "${String(name)}"`).get()?.['n']),
    ]),
  )
  db.close()
  console.log(
    JSON.stringify({
      starts,
      per_second: Math.round(starts / seconds),
      stored_rows: rows,
      rss_mb_at_each_tenth: memory,
    }),
  )
} finally {
  agent.destroy()
  await s.stop()
  rmSync(dir, { recursive: true, force: true })
}
