import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { HpackDecoder } from '../../listeners/http2/hpack-decoder.ts'
import { decodeHuffman } from '../../listeners/http2/huffman.ts'

const bytes = (hex: string): Buffer => Buffer.from(hex.replace(/\s/g, ''), 'hex')

function read(decoder: HpackDecoder, block: Buffer, most = 1000): string[] | undefined {
  const lines: string[] = []
  return decoder.decode(block, 0, block.length, lines, most) ? lines : undefined
}

describe('header blocks are read as RFC 7541 Appendix C has them', () => {
  test('C.2: single fields', () => {
    const one = (hex: string): string[] | undefined => read(new HpackDecoder(), bytes(hex))
    assert.deepEqual(one('400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'), [
      'custom-key',
      'custom-header',
    ])
    assert.deepEqual(one('040c 2f73 616d 706c 652f 7061 7468'), [':path', '/sample/path'])
    assert.deepEqual(one('1008 7061 7373 776f 7264 0673 6563 7265 74'), ['password', 'secret'])
    assert.deepEqual(one('82'), [':method', 'GET'])
  })

  const pseudo = (scheme: string, path: string): string[] => [':method', 'GET', ':scheme', scheme, ':path', path]
  const host = [':authority', 'www.example.com']
  const requests = [
    [...pseudo('http', '/'), ...host],
    [...pseudo('http', '/'), ...host, 'cache-control', 'no-cache'],
    [...pseudo('https', '/index.html'), ...host, 'custom-key', 'custom-value'],
  ]
  for (const [name, blocks] of Object.entries({
    'C.3: requests without Huffman code': [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
    'C.4: requests with Huffman code': [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
  }))
    test(name, () => {
      const decoder = new HpackDecoder()
      assert.deepEqual(
        blocks.map((block) => read(decoder, bytes(block))),
        requests,
      )
      assert.ok(!decoder.malformed)
    })

  const date = (s: number): string[] => ['date', `Mon, 21 Oct 2013 20:13:${s} GMT`]
  const location = ['location', 'https://www.example.com']
  const answers = [
    [':status', '302', 'cache-control', 'private', ...date(21), ...location],
    [':status', '307', 'cache-control', 'private', ...date(21), ...location],
    [
      ...[':status', '200', 'cache-control', 'private', ...date(22), ...location, 'content-encoding', 'gzip'],
      ...['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
    ],
  ]
  for (const [name, blocks] of Object.entries({
    'C.5: answers without Huffman code, in a table of 256 bytes that puts entries out': [
      '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ],
    'C.6: the same with Huffman code': [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ],
  }))
    test(name, () => {
      const decoder = new HpackDecoder()
      // The size of the table, told by its writer: 256.
      const [first = '', ...others] = blocks
      assert.deepEqual(
        [`3fe1 01 ${first}`, ...others].map((block) => read(decoder, bytes(block))),
        answers,
      )
    })
})

describe('what is no header block', () => {
  for (const [name, hex] of Object.entries({
    'an index of nothing (§6.1)': '80',
    'an index behind the table (§2.3.3)': 'be',
    'a name by an index behind the table': '7e 01 61',
    'a number without an end (§5.1)': 'ff ff ff ff ff ff',
    'a number that its bytes do not hold': 'ff',
    'a text longer than the block (§5.2)': '40 05 61',
    'a name without a value': '40 01 61',
    'a table larger than ours (§6.3)': '3f e2 1f',
    'a table size behind a field (§4.2)': '82 20',
    'a Huffman text that ends in more than 7 bits of nothing (§5.2)': '00 81 1f 82 1f ff',
    'a Huffman text that ends in something else than ones': '00 81 18 01 61',
    'a Huffman text with the end-of-string symbol in it': '00 84 ff ff ff ff 01 61',
  }))
    test(name, () => assert.equal(read(new HpackDecoder(), bytes(hex)), undefined))
})

test('a Huffman text may end in up to seven ones, and in no others', () => {
  const into = new Uint8Array(64)
  // The code of "0" is 00000, of "&" 11111000.
  assert.equal(decodeHuffman(bytes('07'), 0, 1, into), 1)
  assert.equal(into[0], 0x30)
  assert.equal(decodeHuffman(bytes('06'), 0, 1, into), -1)
  assert.equal(decodeHuffman(bytes('f8'), 0, 1, into), 1)
  assert.equal(decodeHuffman(bytes('f8 ff'), 0, 2, into), -1)
  assert.equal(decodeHuffman(bytes(''), 0, 0, into), 0)
})

describe('what is no request of RFC 9113 §8.2 and §8.3', () => {
  const pseudo = '82 87 84'
  const field = (name: string, value: string): string =>
    Buffer.concat([
      Buffer.from([0, name.length]),
      Buffer.from(name, 'latin1'),
      Buffer.from([value.length]),
      Buffer.from(value, 'latin1'),
    ]).toString('hex')
  const isMalformed = (hex: string): boolean => {
    const decoder = new HpackDecoder()
    assert.ok(read(decoder, bytes(hex)) !== undefined)
    return decoder.malformed || decoder.badValue
  }

  for (const [name, value] of [
    ['X-Upper', 'a'],
    ['', 'a'],
    ['a b', 'a'],
    ['a:b', 'a'],
    ['ä', 'a'],
    [':status', '200'],
    [':protocol', 'websocket'],
    ['connection', 'close'],
    ['keep-alive', 'timeout=5'],
    ['proxy-connection', 'x'],
    ['transfer-encoding', 'chunked'],
    ['upgrade', 'h2c'],
    ['te', 'gzip'],
    ['a', ' b'],
    ['a', 'b\t'],
    ['a', 'b\r\nc: d'],
    ['a', 'b\0'],
    ['a', '\x7f'],
  ] as const)
    test(`${JSON.stringify(name)}: ${JSON.stringify(value)}`, () => assert.ok(isMalformed(pseudo + field(name, value))))

  test('a pseudo field twice, or behind another field', () => {
    assert.ok(isMalformed('82 82 87 84'))
    assert.ok(isMalformed(`${pseudo} ${field('a', 'b')} ${field(':authority', 'x')}`))
  })

  test('and these are', () => {
    for (const [name, value] of [
      ['te', 'trailers'],
      ['te', 'Trailers'],
      ['x-empty', ''],
      ['x-tab', 'a\tb'],
      ['x-latin', 'é'],
      ["!#$%&'*+.^_`|~", '1'],
    ] as const)
      assert.ok(!isMalformed(pseudo + field(name, value)), name)
  })
})

test('a bad value that was kept stays bad, and its name stays good beside another value', () => {
  const decoder = new HpackDecoder()
  // x-a: " b", kept.
  read(decoder, bytes('40 03 782d61 02 2062'))
  assert.ok(decoder.badValue)
  read(decoder, bytes('be'))
  assert.ok(decoder.badValue)
  assert.deepEqual(read(decoder, bytes('7e 01 63')), ['x-a', 'c'])
  assert.ok(!decoder.badValue)
})

test('a block that names a large entry many times is told so far and no further, and counted whole', () => {
  const decoder = new HpackDecoder()
  const value = 'v'.repeat(4000)
  read(decoder, Buffer.concat([bytes('40 01 61 7f a1 1e'), Buffer.from(value)]))
  const lines = read(decoder, Buffer.alloc(100_000, 0xbe), 1000)
  assert.equal(lines?.length, 2000)
  assert.deepEqual([decoder.count, decoder.size], [100_000, 100_000 * 4001])
})
