// The whole of what an SPA needs to know: a session endpoint, a CSRF token, and paths. No OAuth in sight.
const $ = (id) => document.getElementById(id)
const el = (tag, props = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), props)
  node.append(...children)
  return node
}

const CALLS = [
  { label: 'GET /orders/42', path: '/orders/42', primary: true },
  { label: 'GET /billing/invoices', path: '/billing/invoices', primary: true },
  { label: 'GET /reports/today', path: '/reports/today', note: 'no token for it' },
  { label: 'GET /orders/admin/audit', path: '/orders/admin/audit', note: 'admins: alice, not bob' },
  { label: 'GET /billing/payments/7', path: '/billing/payments/7', note: 'wants the one-time code' },
  { label: 'GET /api/orders/42 (proxy)', path: '/api/orders/42?rewritten=yes' },
  { label: 'POST /orders with the CSRF token', path: '/orders', method: 'POST', csrf: true },
  { label: 'POST /orders without it', path: '/orders', method: 'POST' },
]

let session = null

async function load() {
  const res = await fetch('/api/auth/session', { headers: { accept: 'application/json' } })
  session = res.ok ? await res.json() : null
  render(session ? null : await res.json().catch(() => null))
}

function render(anonymous) {
  const signedIn = session !== null
  for (const id of ['who', 'services', 'live', 'calls']) $(id).hidden = !signedIn
  const login = new URL(anonymous?.login_url ?? '/auth/login', location.href)
  login.searchParams.set('return_to', location.origin + location.pathname)
  $('account').replaceChildren(
    ...(signedIn
      ? [
          el('span', {}, session.name ?? session.sub),
          el('button', { id: 'sign-out', type: 'button', onclick: signOut }, 'Sign out'),
        ]
      : [el('span', {}, 'Signed out')]),
  )
  $('hero-actions').replaceChildren(
    ...(signedIn ? [] : [el('a', { id: 'sign-in', className: 'button primary', href: login }, 'Sign in')]),
  )
  if (!signedIn) return
  $('greeting').textContent = `Hello, ${session.name ?? session.sub}.`
  $('lead').textContent = 'You hold one HttpOnly cookie and a CSRF token. The tokens below never leave the server.'
  const when = (iso) => new Date(iso).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' })
  const facts = {
    Subject: session.sub,
    'E-mail': session.email ?? '',
    'Session ends': when(session.expires_at),
    'if idle': when(session.idle_expires_at),
  }
  $('facts').replaceChildren(...Object.entries(facts).flatMap(([k, v]) => [el('dt', {}, k), el('dd', {}, v)]))
  $('tokens').replaceChildren(...session.services.map((s) => el('li', {}, s)))
  openLive()
  $('buttons').replaceChildren(
    ...CALLS.map((c) =>
      el('button', { type: 'button', className: c.primary ? 'primary' : '', onclick: () => call(c) }, c.label),
    ),
  )
}

async function call(c) {
  const headers = { accept: 'application/json' }
  if (c.csrf) headers['X-CSRF-Token'] = session.csrf_token
  if (c.method === 'POST') headers['content-type'] = 'application/json'
  const res = await fetch(c.path, {
    method: c.method ?? 'GET',
    headers,
    body: c.method === 'POST' ? '{"item":"tea"}' : undefined,
  })
  const body = await res.json().catch(() => null)
  show(c, res, body)
  if (res.status === 401 && ['NO_SESSION', 'SESSION_EXPIRED'].includes(body?.code)) load()
}

function show(c, res, body) {
  const code = res.headers.get('X-BFF-Error')
  const line = el(
    'p',
    { className: 'line' },
    el('span', { className: `status ${res.ok ? 'good' : 'bad'}` }, String(res.status)),
    `${c.method ?? 'GET'} ${c.path} `,
    code ? el('code', {}, code) : '',
  )
  const block = (title, data) =>
    el('div', {}, el('h3', {}, title), el('pre', { tabIndex: 0 }, JSON.stringify(data, null, 2)))
  const received = body?.received
  $('result').replaceChildren(
    line,
    code === 'STEP_UP_REQUIRED' ? stepUp(res) : '',
    received
      ? el(
          'div',
          { className: 'columns' },
          block(`Claims of the token that ${body.service} received`, received.token_claims),
          block('Identity headers it received', received.headers),
        )
      : block(code ? 'Refused by traefik-bff, before the API saw it' : 'Answer', body),
  )
}

// RFC 9470: the answer says which sign-in would do; the page only has to go there.
function stepUp(res) {
  const challenge = res.headers.get('WWW-Authenticate') ?? ''
  const query = new URLSearchParams({ return_to: location.pathname })
  for (const name of ['acr_values', 'max_age']) {
    const value = new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1]
    if (value) query.set(name, value)
  }
  return el(
    'p',
    {},
    el('a', { id: 'step-up', className: 'button primary', href: `/auth/login?${query}` }, 'Sign in more strongly'),
  )
}

let live = false

function setState(id, open, why = '') {
  $(id).textContent = open ? 'open' : why ? `closed: ${why}` : 'closed'
  $(id).className = open ? 'state open' : 'state'
}

// Same-origin paths; the browser sends the cookie, the service adds the token on the way to the API.
function openLive() {
  if (live) return
  live = true
  const events = new EventSource('/api/orders/events')
  events.onopen = () => setState('events-state', true)
  events.onmessage = (e) => ($('events').textContent = JSON.stringify(JSON.parse(e.data), null, 2))
  events.onerror = () => {
    setState('events-state', false)
    events.close()
  }
  const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/api/orders/ws`)
  socket.onopen = () => setState('socket-state', true)
  socket.onmessage = (e) =>
    ($('socket').textContent = `${$('socket').textContent}\n${e.data}`
      .split('\n')
      .slice(-4)
      .join('\n')
      .replace(/^–\n/, ''))
  socket.onclose = (e) => setState('socket-state', false, e.reason || (e.code === 1000 ? '' : String(e.code)))
  $('say').onsubmit = (e) => {
    e.preventDefault()
    if (socket.readyState === WebSocket.OPEN) socket.send($('word').value)
  }
}

async function signOut() {
  const res = await fetch('/auth/logout', {
    method: 'POST',
    headers: { accept: 'application/json', 'X-CSRF-Token': session.csrf_token },
  })
  if (!res.ok) return show({ method: 'POST', path: '/auth/logout' }, res, await res.json().catch(() => null))
  const { logout_url } = await res.json()
  // A moment to see both streams end.
  setTimeout(() => location.assign(logout_url), 600)
}

load()
