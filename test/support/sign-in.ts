/** Walks the sign-in as a browser does: a jar a host. Answers the session's cookie. */
export async function signInAt(origin: string): Promise<string> {
  const jars = new Map<string, Map<string, string>>()
  let url = new URL('/auth/login?return_to=/done', origin)
  let form: URLSearchParams | undefined
  for (let hop = 0; hop < 15; hop++) {
    const jar = jars.get(url.host) ?? new Map<string, string>()
    jars.set(url.host, jar)
    const headers = { cookie: [...jar].map(([k, v]) => `${k}=${v}`).join('; ') }
    const res = await fetch(url, {
      redirect: 'manual',
      headers,
      ...(form === undefined ? {} : { method: 'POST', body: form }),
    })
    for (const line of res.headers.getSetCookie())
      jar.set(line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1).split(';')[0] ?? '')
    const next = res.headers.get('location')
    form = undefined
    if (next === null) {
      url = new URL(/action="([^"]*\/login)"/.exec(await res.text())?.[1] ?? '', url)
      form = new URLSearchParams({ user: 'alice', password: 'demo' })
      continue
    }
    url = new URL(next, url)
    if (url.pathname === '/done') return `bff_session=${jars.get(new URL(origin).host)?.get('bff_session') ?? ''}`
  }
  throw new Error('no end to signing in')
}
