import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../../middleware/telemetry/metrics.ts'

const lines = (text: string): readonly string[] => text.split('\n').filter((l) => l.startsWith('bff_'))

test('what happened before anybody asked for metrics is told, and is not told twice', async () => {
  const m = createMetrics()
  m.decision('traefik', 'allow', '', 0.0002)
  m.decision('traefik', 'refuse', 'NO_SESSION', 30)
  m.decision('traefik', 'allow', '', 0.0002)
  m.observe({ name: 'token_refresh', fields: { strategy: 'refresh', result: 'ok' } })
  m.observe({ name: 'session_ended', fields: { reason: 'logout' } })
  m.observe({ name: 'login_ok' })
  m.observe({ name: 'login_failed', fields: { code: 'odd|code' } })
  m.observe({ name: 'upstream_rejected_token', fields: { service: 'orders' } })
  m.observe({ name: 'provider_down', fields: { provider: 'default' } })
  m.observe({ name: 'store_up' })
  await m.text()
  const told = lines(await m.text())
  for (const line of [
    'bff_decisions_total{mouth="traefik",outcome="allow",code=""} 2',
    'bff_decisions_total{mouth="traefik",outcome="refuse",code="NO_SESSION"} 1',
    'bff_decision_duration_seconds_bucket{le="0.0001"} 0',
    'bff_decision_duration_seconds_bucket{le="0.00025"} 2',
    'bff_decision_duration_seconds_bucket{le="10"} 2',
    'bff_decision_duration_seconds_bucket{le="+Inf"} 3',
    'bff_decision_duration_seconds_count 3',
    'bff_token_refreshes_total{strategy="refresh",result="ok"} 1',
    'bff_sessions_ended_total{reason="logout"} 1',
    'bff_logins_total{result="ok"} 1',
    'bff_logins_total{result="odd|code"} 1',
    'bff_upstream_rejected_tokens_total{service="orders"} 1',
    'bff_provider_up{provider="default"} 0',
    'bff_store_up 1',
  ])
    assert.ok(told.includes(line), `${line}\nis not among\n${told.join('\n')}`)
  m.decision('traefik', 'allow', '', 0.0002)
  m.setStoreUp(false)
  m.setProviderUp('default', true)
  const later = lines(await m.text())
  assert.ok(later.includes('bff_decisions_total{mouth="traefik",outcome="allow",code=""} 3'))
  assert.ok(later.includes('bff_store_up 0'))
  assert.ok(later.includes('bff_provider_up{provider="default"} 1'))
})

test('the content type is that of the text', async () => {
  const { Registry } = await import('prom-client')
  assert.equal(createMetrics().contentType, new Registry().contentType)
})
