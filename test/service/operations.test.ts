import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { randomBytes } from 'node:crypto'
import { stringify } from 'yaml'
import { freePort, start, until } from '../../demo/launcher/index.ts'
import { secret } from '../../config/secret.ts'
import { writeSessionCookie } from '../../middleware/session/cookie.ts'
import { newSessionId } from '../../middleware/session/handle.ts'
import { deriveKeys } from '../../middleware/session/keys.ts'
import { send } from '../support/client.ts'
import { ORIGIN, startService, type Service } from '../support/service.ts'

const run = promisify(execFile)
const CLI = join(import.meta.dirname, '..', '..', 'cli.ts')

const get = (url: string): Promise<Response> => send(url)

describe('the admin listener', () => {
  let s: Service
  before(async () => {
    s = await startService()
    await s.signIn()
  })
  after(() => s.stop())

  test('says that the process lives, that it is ready, and counts what it decides', async () => {
    assert.equal((await get(`${s.adminUrl}/health`)).status, 200)
    const ready = await get(`${s.adminUrl}/ready`)
    assert.equal(ready.status, 200)
    assert.deepEqual(((await ready.json()) as { store: { up: boolean } }).store.up, true)
    assert.equal((await get(`${s.adminUrl}/ready?scope=local`)).status, 200)
    assert.equal(s.logs.filter((l) => l['msg'] === 'redirect_uris').length, 1, 'what to register is told once')
    await s.verify('/orders/1')
    const metrics = await (await get(`${s.adminUrl}/metrics`)).text()
    assert.match(metrics, /bff_decisions_total\{mouth="traefik",outcome="refuse",code="NO_SESSION"\} 1/)
    for (const name of [
      'bff_decision_duration_seconds_bucket{le="+Inf"} 1',
      'bff_decision_duration_seconds_count 1',
      'bff_token_refreshes_total',
      'bff_sessions_ended_total',
      'bff_store_up 1',
      'bff_provider_up{provider="default"} 1',
    ]) {
      assert.ok(metrics.includes(name), name)
    }
  })

  test('the main listener has none of it but /auth/health', async () => {
    assert.equal((await get(`${s.url}/auth/health`)).status, 200)
    for (const path of ['/health', '/ready', '/metrics']) assert.notEqual((await get(`${s.url}${path}`)).status, 200)
  })
})

test('a provider that is reached at the start is no end of an outage: nobody is told at the usual level', async () => {
  const s = await startService()
  try {
    assert.equal((await s.waitForLog((l) => l['msg'] === 'provider_up'))['level'], 'debug')
  } finally {
    await s.stop()
  }
})

test('R19 a provider that is down at boot: the service starts, says so, is not ready, and recovers by itself', async () => {
  const port = await freePort()
  const s = await startService({ issuer: `http://127.0.0.1:${port}` })
  let provider: Server | undefined
  try {
    await s.waitForLog((l) => l['msg'] === 'provider_down')
    const { register } = await s.waitForLog((l) => l['msg'] === 'redirect_uris')
    assert.ok(Array.isArray(register) && register.length > 0, 'whoever sets it up sees what to register')
    assert.equal((await get(`${s.adminUrl}/ready`)).status, 503)
    assert.equal((await get(`${s.adminUrl}/ready?scope=local`)).status, 503)
    assert.equal((await get(`${s.adminUrl}/health`)).status, 200)
    const login = await s.client().page('/auth/login')
    assert.equal(login.status, 503)
    assert.equal(login.headers.get('x-bff-error'), 'PROVIDER_UNAVAILABLE')
    assert.match(login.headers.get('retry-after') ?? '', /^\d+$/)
    assert.equal((await s.verify('/open/x')).status, 200, 'public routes stay up')
    assert.equal((await s.verify('/orders/1')).status, 401)
    provider = createServer((_req, res) => {
      const issuer = `http://127.0.0.1:${port}`
      res.setHeader('content-type', 'application/json')
      res.end(
        JSON.stringify({
          issuer,
          authorization_endpoint: `${issuer}/a`,
          token_endpoint: `${issuer}/t`,
          jwks_uri: `${issuer}/k`,
          response_types_supported: ['code'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['RS256'],
        }),
      )
    })
    await new Promise<void>((resolve) => provider?.listen(port, '127.0.0.1', resolve))
    await until('the service ready', async () => (await get(`${s.adminUrl}/ready`)).status === 200)
    assert.equal((await s.client().page('/auth/login')).status, 302)
    assert.equal((await s.waitForLog((l) => l['msg'] === 'provider_up'))['level'], 'warn')
  } finally {
    provider?.closeAllConnections()
    provider?.close()
    await s.stop()
  }
})

test('an unreachable store is 503 with Retry-After for whoever has a session, never a yes and never "signed out"', async () => {
  const s = await startService({ store: `redis://127.0.0.1:${await freePort()}` })
  try {
    const [key = ''] = deriveKeys([secret('demo-only-session-secret-0123456789abcdef')], 'session cookie').map((k) =>
      k.toString('hex'),
    )
    const cookie = `bff_session=${writeSessionCookie(
      newSessionId((n) => randomBytes(n)),
      key,
    )}`
    const res = await s.verify('/orders/1', { headers: { cookie } })
    assert.deepEqual([res.status, res.headers.get('x-bff-error')], [503, 'STORE_UNAVAILABLE'])
    assert.match(res.headers.get('retry-after') ?? '', /^\d+$/)
    assert.deepEqual(res.headers.getSetCookie(), [], 'the cookie stays')
    assert.equal(
      (await s.verify('/orders/1', { headers: { cookie: 'bff_session=s%3Aforged.x' } })).status,
      401,
      'what nobody signed needs no store',
    )
    assert.equal((await s.verify('/open/x')).status, 200)
    assert.equal((await get(`${s.adminUrl}/ready`)).status, 503)
    assert.equal((await get(`${s.adminUrl}/health`)).status, 200)
    await s.waitForLog((l) => l['msg'] === 'store_down')
    assert.equal(s.logs.filter((l) => l['msg'] === 'store_down').length, 1)
    const client = s.client()
    const begun = await client.page('/auth/login')
    const back = await s.provider.signIn(new URL(begun.headers.get('location') ?? ''))
    const done = await client.page(back.pathname + back.search)
    assert.equal(done.status, 503)
    assert.equal(done.headers.get('x-bff-error'), 'STORE_UNAVAILABLE')
  } finally {
    await s.stop()
  }
})

describe('a reload', () => {
  test('brings a new route into force, and keeps who is signed in', async () => {
    const s = await startService()
    try {
      const alice = await s.signIn()
      assert.equal((await s.verify('/new/1', { client: alice })).status, 403)
      s.rewrite({ routes: (r) => r.routes.push({ id: 'new', path: '/new/*', target_service: 'orders' }) })
      assert.equal((await s.verify('/new/1', { client: alice })).status, 200)
    } finally {
      await s.stop()
    }
  })
})

describe('the process', () => {
  async function write(
    dir: string,
    routes: unknown = { routes: [{ id: 'open', path: '/open/*', auth: 'public' }] },
  ): Promise<{ port: number; admin: number }> {
    const [port, admin] = [await freePort(), await freePort()]
    writeFileSync(
      join(dir, 'settings.yaml'),
      stringify({
        server: {
          public_url: ORIGIN,
          listen: `127.0.0.1:${port}`,
          admin_listen: `127.0.0.1:${admin}`,
          trusted_proxies: ['127.0.0.1/32'],
        },
        auth: { issuer: `http://127.0.0.1:${await freePort()}`, client_id: 'bff', client_secret: 'x' },
        session: { secret: 'demo-only-session-secret-0123456789abcdef', store: 'sqlite::memory:' },
      }),
    )
    writeFileSync(join(dir, 'routes.yaml'), stringify(routes))
    return { port, admin }
  }

  test('SIGHUP and a changed file reload, a bad reload keeps the old config and says so, SIGTERM ends with 0', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-process-'))
    const { port } = await write(dir)
    const lines: string[] = []
    const service = start(process.execPath, [CLI, 'serve', '--config', dir], { onLine: (l) => lines.push(l) })
    const said = (text: string): Promise<void> =>
      until(text, async () => lines.some((l) => l.includes(text)), { running: service })
    const open = (path: string): Promise<Response> =>
      send(`http://127.0.0.1:${port}/auth/verify`, {
        headers: { 'x-forwarded-method': 'GET', 'x-forwarded-host': 'localhost:8000', 'x-forwarded-uri': path },
      })
    try {
      await said('traefik-bff ready')
      assert.equal((await open('/open/1')).status, 200)
      assert.equal((await open('/more/1')).status, 403)
      writeFileSync(join(dir, 'routes.yaml'), 'routes: [')
      process.kill(service.pid, 'SIGHUP')
      await said('config_reload_failed')
      assert.equal((await open('/open/1')).status, 200)
      writeFileSync(join(dir, 'routes.yaml'), stringify({ routes: [{ id: 'more', path: '/more/*', auth: 'public' }] }))
      await said('config_reloaded')
      assert.equal((await open('/more/1')).status, 200)
      assert.equal((await open('/open/1')).status, 403)
    } finally {
      await service.stop()
      rmSync(dir, { recursive: true, force: true })
    }
    assert.equal(await service.exited, '0')
    assert.ok(lines.some((l) => l.includes('"msg":"stopped"')))
  })

  test('a config that is still being written is not read by halves, whoever signals meanwhile', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-halves-'))
    const { port } = await write(dir)
    const routes = join(dir, 'routes.yaml')
    const service = start(process.execPath, [CLI, 'serve', '--config', dir])
    const isOpen = async (): Promise<number> => {
      const headers = {
        'x-forwarded-method': 'GET',
        'x-forwarded-host': 'localhost:8000',
        'x-forwarded-uri': '/open/1',
      }
      return (await send(`http://127.0.0.1:${port}/auth/verify`, { headers })).status
    }
    const WHOLE = stringify({ routes: [{ id: 'open', path: '/open/*', auth: 'public' }] })
    /** Line after line, and a signal after each; false where there was so long between two that it says nothing. */
    const writtenSlowly = async (): Promise<boolean> => {
      let lastMs = performance.now()
      writeFileSync(routes, '')
      for (let i = 0; i < 20; i += 1) {
        const nowMs = performance.now()
        appendFileSync(routes, `# line ${i}\n`)
        process.kill(service.pid, 'SIGHUP')
        const status = await isOpen()
        if (performance.now() - lastMs > 200) return false
        assert.equal(status, 200)
        lastMs = nowMs
      }
      return true
    }
    try {
      await until('ready', async () => service.output().includes('traefik-bff ready'), { running: service })
      // A file that nobody has touched for a quarter of a second is whole, and on a busy machine this writer may be as slow.
      let tries = 0
      while (!(await writtenSlowly())) {
        assert.ok((tries += 1) < 20, 'this machine never wrote twice within a quarter of a second')
        writeFileSync(routes, WHOLE)
        await until('all of it', async () => (await isOpen()) === 200, { running: service })
      }
      const before = service.output().length
      appendFileSync(routes, WHOLE)
      await until('a reload', async () => service.output().slice(before).includes('config_reloaded'), {
        running: service,
      })
      assert.equal(await isOpen(), 200)
    } finally {
      await service.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test('SIGTERM lets a request in hand finish, and is not ready meanwhile', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-drain-'))
    const { port, admin } = await write(dir)
    // A provider that takes its time over the pushed request: when that has come, a login start is in hand.
    const waiting: (() => void)[] = []
    const slow = createServer((req, res) => {
      if (req.url === '/par') return void waiting.push(() => res.writeHead(500).end())
      const issuer = `http://${req.headers.host ?? ''}`
      const endpoints = {
        authorization_endpoint: `${issuer}/a`,
        token_endpoint: `${issuer}/t`,
        jwks_uri: `${issuer}/k`,
        pushed_authorization_request_endpoint: `${issuer}/par`,
      }
      const supported = {
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
      }
      res.setHeader('content-type', 'application/json').end(JSON.stringify({ issuer, ...endpoints, ...supported }))
    })
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve))
    const text = stringify({
      server: {
        public_url: ORIGIN,
        listen: `127.0.0.1:${port}`,
        admin_listen: `127.0.0.1:${admin}`,
        trusted_proxies: ['127.0.0.1/32'],
      },
      auth: {
        issuer: `http://127.0.0.1:${(slow.address() as AddressInfo).port}`,
        client_id: 'bff',
        client_secret: 'x',
      },
      session: { secret: 'demo-only-session-secret-0123456789abcdef', store: 'sqlite::memory:' },
    })
    writeFileSync(join(dir, 'settings.yaml'), text)
    const service = start(process.execPath, [CLI, 'serve', '--config', dir])
    try {
      // Not when the port answers: a start looks first whether it is free, and closes it once more.
      await until('ready', async () => service.output().includes('traefik-bff ready'), { running: service })
      const inHand = send(`http://127.0.0.1:${port}/auth/login`, { headers: { host: 'localhost:8000' } })
      await until('the pushed request', async () => waiting.length > 0)
      process.kill(service.pid, 'SIGTERM')
      await until('not ready', async () => (await get(`http://127.0.0.1:${admin}/ready?scope=local`)).status === 503)
      const drop = setInterval(() => waiting.splice(0).forEach((answer) => answer()), 10)
      assert.equal((await inHand).status, 503)
      clearInterval(drop)
      assert.equal(await service.exited, '0')
    } finally {
      await service.stop()
      slow.closeAllConnections()
      slow.close()
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test('whoever waits for the ready line may signal at once: SIGHUP reloads and SIGTERM ends with 0', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-at-once-'))
    const { port } = await write(dir)
    // Written long ago, so that nothing is waited for.
    for (const file of ['settings.yaml', 'routes.yaml']) utimesSync(join(dir, file), 0, 0)
    // Within the very write of the line, which no other process could hit.
    const atOnce = `
      import fs from 'node:fs'
      import { syncBuiltinESMExports } from 'node:module'
      for (const name of ['write', 'writeSync']) {
        const write = fs[name]
        fs[name] = (...args) => {
          const done = write(...args)
          if (String(args[1]).includes('traefik-bff ready'))
            for (const signal of ['SIGHUP', 'SIGTERM']) process.kill(process.pid, signal)
          return done
        }
      }
      syncBuiltinESMExports()`
    const preload = `data:text/javascript,${encodeURIComponent(atOnce)}`
    try {
      const service = start(process.execPath, ['--import', preload, CLI, 'serve', '--config', dir])
      assert.equal(await service.exited, '0')
      assert.match(service.output(), /"msg":"config_reloaded"/)
      assert.match(service.output(), /"msg":"stopped"/)
      await assert.rejects(get(`http://127.0.0.1:${port}/auth/health`))
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test('a broken config stops the start with every fault, its file and line, exit 1 and no stack trace', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-faults-'))
    try {
      writeFileSync(
        join(dir, 'settings.yaml'),
        'server:\n  public_url: ftp://x\n  lissten: 1\nauth: {}\nsession:\n  secret: short\n',
      )
      writeFileSync(join(dir, 'routes.yaml'), 'routes:\n  - id: a\n    path: nowhere\n')
      for (const command of ['serve', 'check']) {
        const failed = await run(process.execPath, [CLI, command, '--config', dir]).then(
          () => undefined,
          (e: unknown) => e as { code: number; stdout: string; stderr: string },
        )
        assert.equal(failed?.code, 1)
        const said = failed.stdout + failed.stderr
        for (const place of [
          /settings\.yaml:2: \w+/,
          /settings\.yaml:3: .*lissten/,
          /settings\.yaml:4: /,
          /settings\.yaml:6: /,
          /routes\.yaml:3: /,
        ])
          assert.match(said, place)
        assert.doesNotMatch(said, /\n\s+at /)
      }
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test('a port that is taken, and a folder that is not there, are a sentence and an exit code', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'bff-taken-'))
    const { port } = await write(dir)
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve))
    try {
      const fails = async (args: string[]): Promise<{ code: number; stderr: string }> =>
        run(process.execPath, [CLI, ...args]).then(
          () => ({ code: 0, stderr: '' }),
          (e: unknown) => e as { code: number; stderr: string },
        )
      const busy = await fails(['serve', '--config', dir])
      assert.equal(busy.code, 1)
      assert.match(busy.stderr, /EADDRINUSE/)
      assert.equal((await fails(['serve', '--config', join(dir, 'nowhere')])).code, 2)
      assert.equal((await fails(['nonsense'])).code, 2)
      assert.equal((await fails(['--help'])).code, 0)
    } finally {
      taken.close()
      rmSync(dir, { recursive: true, force: true })
    }
  })
})
