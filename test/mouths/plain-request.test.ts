import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { duplexPair } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { SERVER_LIMITS } from '../../listeners/door.ts'
import { mayBecomePlain, readPlainRequest } from '../../middleware/mouths/plain-request.ts'

const CHECK = [
  'GET /auth/verify?service=orders HTTP/1.1',
  'Host: bff:4181',
  'User-Agent: Go-http-client/1.1',
  'Accept: text/html',
  'cookie: a=1; bff_session=s%3Aabc',
  'Cookie: b=\u00e9',
  'X-Forwarded-For: 10.0.0.1, 10.0.0.2',
  'X-Forwarded-Method: GET',
  'X-Forwarded-Uri: /orders/1?x=%20',
  'Accept-Encoding: gzip',
]
const [first = '', ...rest] = CHECK
const text = (...lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`

/** What node:http says to the same bytes: its requests, with their bodies, and whether it has anything against them. */
async function readByNode(bytes: string): Promise<readonly { readonly method: string; readonly request: unknown }[]> {
  const found: { method: string; request: unknown }[] = []
  const [client, other] = duplexPair()
  const server = createServer(SERVER_LIMITS, (req, res) => {
    found.push({
      method: req.method ?? '',
      request: { target: req.url, lines: req.rawHeaders.map((t, i) => (i % 2 === 0 ? t.toLowerCase() : t)) },
    })
    let body = 0
    req.on('data', (c: Buffer) => (body += c.length))
    req.on('end', () => {
      if (body > 0) found.push({ method: 'a body', request: body })
      res.end()
    })
  })
  server.on('clientError', (e, socket) => {
    found.push({ method: 'refused', request: e.message })
    socket.destroy()
  })
  server.on('upgrade', (_req, socket) => {
    found.push({ method: 'upgrade', request: undefined })
    socket.destroy()
  })
  const ended = new Promise((resolve) => client.once('close', resolve).once('data', resolve).once('end', resolve))
  server.emit('connection', other)
  client.write(bytes, 'latin1')
  await ended
  client.destroy()
  other.destroy()
  return found
}

test('a check as Traefik sends it is plain, and its lines are told as they came', () => {
  const read = readPlainRequest(text(...CHECK))
  assert.equal(read?.target, '/auth/verify?service=orders')
  assert.deepEqual(
    read.lines,
    CHECK.slice(1).flatMap((l) => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 2)]),
  )
})

test('around a value only spaces and tabs go, and no other space of Latin-1', () => {
  const read = readPlainRequest(text(first, 'X-A:\t \u00a0b \t', 'X-B:', 'X-C: \t'))
  assert.deepEqual(read?.lines, ['x-a', '\u00a0b', 'x-b', '', 'x-c', ''])
})

test('the connection that is kept anyway may be said to be kept', () => {
  assert.notEqual(readPlainRequest(text(...CHECK, 'Connection: keep-alive')), undefined)
  assert.equal(readPlainRequest(text(...CHECK, 'Connection: close')), undefined)
  assert.equal(readPlainRequest(text(...CHECK, 'Connection: keep-alive, x-forwarded-uri')), undefined)
})

const odd: Readonly<Record<string, string>> = {
  'another method': text('POST /auth/verify HTTP/1.1', ...rest),
  'HTTP/1.0': text('GET /auth/verify HTTP/1.0', ...rest),
  'no version': text('GET /auth/verify', ...rest),
  'two spaces': text('GET  /auth/verify HTTP/1.1', ...rest),
  'a target that is no path': text('GET http://bff/auth/verify HTTP/1.1', ...rest),
  'a control character in the target': text('GET /auth/\u0001verify HTTP/1.1', ...rest),
  'no header': 'GET /auth/verify HTTP/1.1\r\n\r\n',
  'an empty line before': `\r\n${text(...CHECK)}`,
  'bytes behind': `${text(...CHECK)}G`,
  'two requests': text(...CHECK) + text(...CHECK),
  'its end is missing': `${CHECK.join('\r\n')}\r\n`,
  'a line feed alone': text(...CHECK).replace('\r\nAccept:', '\nAccept:'),
  'a carriage return alone': text(...CHECK, 'X-A: b\rX-Forwarded-Uri: /admin'),
  'a line feed in a value': text(...CHECK, 'X-A: b\nX-Forwarded-Uri: /admin'),
  'a folded line': text(...CHECK, 'X-A: b', ' c'),
  'a NUL': text(...CHECK, 'X-A: \0'),
  'a DEL': text(...CHECK, 'X-A: \u007f'),
  'a space before the colon': text(...CHECK, 'X-A : b'),
  'no name': text(...CHECK, ': b'),
  'no colon': text(...CHECK, 'X-A'),
  'a name of other characters': text(...CHECK, 'X-\u00c4: b'),
  'a body of known length': text(...CHECK, 'Content-Length: 5'),
  'a body of no length': text(...CHECK, 'content-length: 0'),
  'a body in chunks': text(...CHECK, 'Transfer-Encoding: chunked'),
  'a body announced oddly': text(...CHECK, 'transfer-Encoding: \tchunked '),
  'another protocol': text(...CHECK, 'Upgrade: websocket'),
  'an expectation': text(...CHECK, 'Expect: 100-continue'),
  'more than half of what Node takes': text(...CHECK, `X-A: ${'b'.repeat(8192)}`),
  'many lines': text(...CHECK, ...Array.from({ length: 100 }, (_, i) => `X-${i}: b`)),
}
for (const [what, bytes] of Object.entries(odd))
  test(`a request with a liberty is Node’s to read: ${what}`, () => {
    assert.notEqual(readPlainRequest(text(first, ...rest)), undefined)
    assert.equal(readPlainRequest(bytes), undefined)
  })

test('only what has no end yet can become plain by more bytes', () => {
  const whole = text(...CHECK)
  assert.equal(mayBecomePlain(whole.slice(0, -1)), true)
  assert.equal(mayBecomePlain(whole), false)
  assert.equal(mayBecomePlain('POST /auth/verify HTTP/1.1\r\n'), false)
  assert.equal(mayBecomePlain(`GET /${'a'.repeat(8192)}`), false)
})

test('whatever bytes come: what is read as plain, Node reads alike, as one request without a body', async () => {
  const octets = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 6 })
  const part = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...CHECK.map((l) => `${l}\r\n`)) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(
          fc.constantFrom(
            'X-A',
            'x_forwarded_uri',
            'Host',
            '__proto__',
            'Connection',
            'Content-Length',
            'Transfer-Encoding',
            'Expect',
            'Upgrade',
            "!#$%&'*+.^`|~",
          ),
          fc.constantFrom(':', ': ', ':\t', ' :', ':  '),
          fc.oneof(
            octets,
            fc.constantFrom(
              '\u00a0',
              'b\u00a0',
              '\u0085b',
              'b\u000b',
              'b\t c',
              'keep-alive',
              '0',
              '9',
              'chunked',
              'x',
              '100-continue',
            ),
          ),
          fc.constantFrom('\r\n', ' \r\n', '\t \r\n', '\n', '\r', ''),
        )
        .map((t) => t.join('')),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom('\r\n', ' ', '\u00a0', '\u0085', '\t', '\r', '\n', 'keep-alive', 'chunked'),
    },
  )
  let plain = 0
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(first, 'GET /a%zz"<>^`{|} HTTP/1.1', 'GET /auth/verify HTTP/1.2') },
        octets.map((o) => `GET /${o} HTTP/1.1`),
      ),
      fc.array(part, { maxLength: 12 }),
      fc.constantFrom('\r\n', '\r\n', '\r\n', ''),
      async (line, parts, end) => {
        const bytes = `${line}\r\n${parts.join('')}${end}`
        const read = readPlainRequest(bytes)
        if (read === undefined) return
        plain += 1
        assert.deepEqual(await readByNode(bytes), [{ method: 'GET', request: read }])
      },
    ),
    { numRuns: 4000 },
  )
  assert.ok(plain > 200, `only ${plain} were plain`)
})
