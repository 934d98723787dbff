import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../../demo/launcher/index.ts'
import { startService } from '../support/service.ts'

const code = (res: Response): string | null => res.headers.get('x-bff-error')

/**
 * The provider rotates, and its answer never arrives: the new refresh token is nobody's. Nothing can bring it back, so the
 * best is to do no harm on the way: no session ends for a call that may not have happened (503 first), the old token is tried
 * once more with care, and only when the provider calls it invalid twice is the session suspended, and then ended.
 */
test('R19 an answer that is lost after the provider has rotated is an outage first; the session ends only when the old token is proven dead', async () => {
  const s = await startService({
    settings: (base) => {
      base.tokens['invalid_grant_grace'] = '1s'
    },
  })
  try {
    let lose = 0
    s.provider.server.prependListener('request', (req, res) => {
      if (req.url !== '/token' || lose === 0) return
      lose -= 1
      // The provider does all that it would do, and the connection is cut before a byte of it goes out.
      res.end = () => {
        req.socket.destroy()
        return res
      }
    })
    const client = await s.signIn()
    lose = 1
    const lost = await s.verify('/orders/1', { client })
    assert.deepEqual([lost.status, code(lost)], [503, 'PROVIDER_UNAVAILABLE'])
    assert.match(lost.headers.get('retry-after') ?? '', /^\d+$/)
    assert.equal((await s.verify('/plain/1', { client })).status, 200, 'the session stands')
    await until('the old token tried', async () => {
      const res = await s.verify('/orders/1', { client })
      assert.notEqual(res.status, 200)
      return code(res) === 'SESSION_EXPIRED'
    })
    await s.waitForLog((l) => l['msg'] === 'session_suspended')
    await until('the grace over', async () => {
      await s.verify('/orders/1', { client })
      return s.logs.some((l) => l['msg'] === 'session_ended reason=invalid_grant')
    })
    const gone = await s.verify('/plain/1', { client })
    assert.deepEqual([gone.status, code(gone)], [401, 'SESSION_EXPIRED'])
    assert.equal((await s.signIn(client)).cookies.has('bff_session'), true, 'and a new sign-in works')
    assert.equal((await s.verify('/orders/1', { client })).status, 200)
  } finally {
    await s.stop()
  }
})
