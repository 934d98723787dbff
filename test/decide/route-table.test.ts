import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Route } from '../../config/types.ts'
import { compileRoutes } from '../../middleware/decide/route-table.ts'
import type { CanonicalPath } from '../../middleware/types.ts'

const NO_REQUIRE = { groups: [], scopes: [], claims: {}, acr: [], networks: [] }
function route(id: string, path: string, more: Partial<Route> = {}): Route {
  return {
    id,
    path,
    methods: [],
    auth: 'session',
    csrf: 'token',
    require: NO_REQUIRE,
    encoded: [],
    bearer: [],
    ...more,
  }
}
function won(routes: readonly Route[], path: string, method = 'GET', hostname = 'app.example.com'): string | undefined {
  return compileRoutes(routes)({ method, hostname, path: path as CanonicalPath }).won?.id
}

test('R7 /x/* matches /x, /x/ and below, and nothing else', () => {
  const routes = [route('x', '/x/*')]
  for (const path of ['/x', '/x/', '/x/a', '/x/a/b']) assert.equal(won(routes, path), 'x')
  for (const path of ['/', '/xy', '/xy/a', '/y/x']) assert.equal(won(routes, path), undefined)
})

test('the most specific path wins, an exact one before a wildcard', () => {
  const routes = [route('all', '/*'), route('a', '/a/*'), route('ab', '/a/b/*'), route('exact', '/a/b')]
  assert.equal(won(routes, '/'), 'all')
  assert.equal(won(routes, '/a'), 'a')
  assert.equal(won(routes, '/a/b'), 'exact')
  assert.equal(won(routes, '/a/b/c'), 'ab')
})

test('a route that names the host wins over one that does not, on the same path only', () => {
  const routes = [route('any', '/a/*'), route('host', '/a/*', { host: 'one.example.com' }), route('deep', '/a/b/*')]
  assert.equal(won(routes, '/a', 'GET', 'one.example.com'), 'host')
  assert.equal(won(routes, '/a', 'GET', 'two.example.com'), 'any')
  assert.equal(won(routes, '/a/b', 'GET', 'one.example.com'), 'deep')
})

test('on the same path the host itself wins over *. of its domain, and that over no host; a star is one label', () => {
  const routes = [
    route('any', '/a/*'),
    route('star', '/a/*', { host: '*.apps.example.com' }),
    route('one', '/a/*', { host: 'one.apps.example.com' }),
    route('deep', '/a/b/*'),
  ]
  assert.equal(won(routes, '/a', 'GET', 'one.apps.example.com'), 'one')
  assert.equal(won(routes, '/a', 'GET', 'two.apps.example.com'), 'star')
  assert.equal(won(routes, '/a', 'GET', 'x.two.apps.example.com'), 'any')
  assert.equal(won(routes, '/a', 'GET', 'apps.example.com'), 'any')
  assert.equal(won(routes, '/a/b', 'GET', 'one.apps.example.com'), 'deep')
})

test('a method that the most specific path leaves out matches nothing, rather than a looser route', () => {
  const routes = [
    route('all', '/*'),
    route('get', '/admin/*', { methods: ['GET'] }),
    route('post', '/admin/*', { methods: ['POST'] }),
  ]
  assert.equal(won(routes, '/admin/x', 'GET'), 'get')
  assert.equal(won(routes, '/admin/x', 'POST'), 'post')
  assert.equal(won(routes, '/admin/x', 'DELETE'), undefined)
})

test('another case of a stricter path is not served under the looser one', () => {
  const routes = [route('all', '/*'), route('admin', '/admin/*')]
  assert.equal(won(routes, '/ADMIN'), undefined)
  assert.equal(won(routes, '/Admin/x'), undefined)
  assert.equal(won(routes, '/Other'), 'all')
  assert.equal(won(routes, '/admin/Users'), 'admin')
})

test('{path} is what follows the wildcard, raw', () => {
  const match = compileRoutes([route('x', '/x/*')])
  const rest = (path: string): string => match({ method: 'GET', hostname: 'h', path: path as CanonicalPath }).rest
  assert.equal(rest('/x/a%20b/c'), 'a%20b/c')
  assert.equal(rest('/x/'), '')
  assert.equal(rest('/x'), '')
})

test('less specific routes that would have matched are told, for explain', () => {
  const { over } = compileRoutes([route('all', '/*'), route('a', '/a/*')])({
    method: 'GET',
    hostname: 'h',
    path: '/a/b' as CanonicalPath,
  })
  assert.deepEqual(
    over.map((r) => r.id),
    ['all'],
  )
})

test('a path with an encoded blank is for the route that says so, and so is what an upstream reads in it', () => {
  const routes = [route('blank', '/a%20b/*'), route('tick', '/ti%60ck')]
  assert.equal(won(routes, '/a%20b/c'), 'blank')
  assert.equal(won(routes, '/a b/c'), 'blank')
  assert.equal(won(routes, '/ti`ck'), 'tick')
})
