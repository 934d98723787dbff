import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDevice } from '../../middleware/pages/device.ts'

const KHTML = 'AppleWebKit/537.36 (KHTML, like Gecko)'

test('a device is called by its browser and system, and by nothing that is not told', () => {
  for (const [userAgent, program, system] of [
    ['Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0', 'Firefox', 'Linux'],
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${KHTML} Chrome/141.0.0.0 Safari/537.36`, 'Chrome', 'Windows'],
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${KHTML} Chrome/141.0.0.0 Safari/537.36 Edg/141.0`, 'Edge', 'Windows'],
    [`Mozilla/5.0 (Linux; Android 16; K) ${KHTML} Chrome/141.0.0.0 Mobile Safari/537.36`, 'Chrome', 'Android'],
    [
      `Mozilla/5.0 (Linux; Android 16; SM-S901B) ${KHTML} SamsungBrowser/29.0 Chrome/136.0 Mobile Safari/537.36`,
      'Samsung Internet',
      'Android',
    ],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/605.1.15',
      'Safari',
      'macOS',
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0 Mobile/15E148 Safari/604.1',
      'Chrome',
      'iPhone',
    ],
    [`Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${KHTML} Chrome/141.0.0.0 Safari/537.36`, 'Chrome', 'ChromeOS'],
    ['curl/8.16.0', 'curl', undefined],
    ['python-requests/2.32', 'python-requests', undefined],
    ['node', 'node', undefined],
    ['Mozilla/5.0', undefined, undefined],
    ['<b>x</b>', undefined, undefined],
    ['', undefined, undefined],
    ['Version/1 '.repeat(5000), 'Version', undefined],
  ] as const)
    assert.deepEqual(readDevice(userAgent), { program, system }, userAgent.slice(0, 80))
})
