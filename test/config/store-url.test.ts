import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseRedisUrl, parseStore } from '../../config/values/store-url.ts'
import { Refused } from '../../config/finding.ts'

const NONE = { username: undefined, password: undefined, database: 0, master: '' }
const NO_SENTINEL = { sentinelUsername: undefined, sentinelPassword: undefined }

describe('the address of a store', () => {
  for (const [url, wanted] of [
    ['redis://cache', { kind: 'single', tls: false, hosts: [{ host: 'cache', port: 6379 }], ...NONE, ...NO_SENTINEL }],
    [
      'rediss://us%40er:p%2Fw%3A%25@[::1]:7000/4',
      {
        kind: 'single',
        tls: true,
        hosts: [{ host: '::1', port: 7000 }],
        ...NONE,
        ...NO_SENTINEL,
        username: 'us@er',
        password: 'p/w:%',
        database: 4,
      },
    ],
    [
      'redis://:only-a-password@h:1',
      {
        kind: 'single',
        tls: false,
        hosts: [{ host: 'h', port: 1 }],
        ...NONE,
        ...NO_SENTINEL,
        password: 'only-a-password',
      },
    ],
    [
      'rediss+sentinel://u:p@a,b:26380/my-master/2?sentinel_username=s&sentinel_password=q%25',
      {
        kind: 'sentinel',
        tls: true,
        hosts: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 26_380 },
        ],
        username: 'u',
        password: 'p',
        database: 2,
        master: 'my-master',
        sentinelUsername: 's',
        sentinelPassword: 'q%',
      },
    ],
    [
      'redis+cluster://a:1,b:2/',
      {
        kind: 'cluster',
        tls: false,
        hosts: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
        ...NONE,
        ...NO_SENTINEL,
      },
    ],
  ] as const)
    test(`${url} is taken apart`, () => assert.deepEqual(parseRedisUrl(url), wanted))

  for (const url of [
    'redis://',
    'redis://h:0',
    'redis://h:99999',
    'redis://h/x',
    'redis://h/1/2',
    'redis://a,b',
    'redis://u:50%@h',
    'redis://h?db=1',
    'redis+sentinel://h',
    'redis+sentinel://h/m/x',
    'redis+sentinel://h/m?password=secret-word',
    'redis+cluster://h/1',
    'redis+other://h',
    'redis://user:secret-word@h h',
  ])
    test(`${url} is refused, and nothing of it repeated`, () => {
      const no = parseStore(url)
      assert.ok(no instanceof Refused)
      assert.doesNotMatch(JSON.stringify(no), /secret-word/)
    })
})
