import { createHash } from 'node:crypto'
import { BoundedMap } from '../bounded-map.ts'
import type { BearerIssuer } from '../../config/types.ts'
import type { Bearers, BearerVerdict, Claims, EpochMs, Maybe, Secret } from '../types.ts'
import { CLOCK_TOLERANCE_S } from './auth-age.ts'
import { createBearerVerifier, type BearerVerifier } from './bearer-issuer.ts'
import { ProviderRejected, ProviderUnavailable } from './errors.ts'
import type { ProviderOptions } from './types.ts'

const MOST = 5_000
/** A key that its issuer takes back is noticed after this long at the latest, as jose's key set does. */
const RECHECK_MS = 600_000
/** While the issuer is away, what was verified goes on counting, and is tried again this often. */
const RETRY_MS = 30_000

interface Known {
  readonly by: string
  readonly verdict: Extract<BearerVerdict, { kind: 'machine' }>
  readonly until: number
  recheckAt: number
}

export interface BearerRoom extends Bearers {
  close(): void
}

/**
 * Machine callers' tokens, verified by the issuers that a route names. What was verified is kept by a hash of the token, so
 * that the next call of the same machine is answered without a promise; a token that is not good is judged each time.
 */
export function createBearers(
  issuers: ReadonlyMap<string, BearerIssuer>,
  o: Omit<ProviderOptions, 'settings'>,
): BearerRoom {
  const verifiers = new Map([...issuers].map(([name, settings]) => [name, createBearerVerifier({ ...o, settings })]))
  const known = new BoundedMap<string, Known>(MOST)
  const flights = new Map<string, Promise<BearerVerdict>>()

  const judge = async (jwt: string, key: string, names: readonly string[]): Promise<BearerVerdict> => {
    const claims = glance(jwt)
    if (claims === undefined) return rejected('not a signed JWT')
    // What is wrong for certain needs no keys, so that an issuer that is away makes no outage of it.
    if (typeof claims['exp'] === 'number' && claims['exp'] * 1000 + CLOCK_TOLERANCE_S * 1000 < o.clock.wallMs())
      return rejected('expired')
    const able = names.flatMap((n) => verifiers.get(n) ?? []).filter((v) => mayBe(v, claims['iss']))
    if (able.length === 0) return rejected('iss is no issuer of this route')
    return ask(able, jwt, key)
  }

  const ask = async (able: readonly BearerVerifier[], jwt: string, key: string): Promise<BearerVerdict> => {
    let answer: BearerVerdict = rejected('no issuer')
    for (const verifier of able) {
      const one = await verifyBy(verifier, jwt)
      if (one.kind === 'machine') {
        keep(key, verifier.name, one)
        return one
      }
      if (answer.kind !== 'down') answer = one
    }
    return answer
  }

  const keep = (key: string, by: string, verdict: Known['verdict']): void => {
    const now = o.clock.wallMs()
    known.set(key, { by, verdict, until: verdict.expiresAt, recheckAt: now + RECHECK_MS })
  }

  const recheck = async (jwt: string, key: string, names: readonly string[], had: Known): Promise<BearerVerdict> => {
    const again = await judge(jwt, key, names)
    if (again.kind === 'rejected') known.delete(key)
    if (again.kind !== 'down') return again
    had.recheckAt = o.clock.wallMs() + RETRY_MS
    return had.verdict
  }

  return {
    verify: (token: Secret, names: readonly string[]): Maybe<BearerVerdict> => {
      const jwt = token.reveal()
      const key = createHash('sha256').update(jwt).digest('base64url')
      const now = o.clock.wallMs()
      const had = known.get(key)
      const usable = had !== undefined && had.until > now && names.includes(had.by) ? had : undefined
      if (usable !== undefined && usable.recheckAt > now) return usable.verdict
      const flight = `${key} ${names.join(' ')}`
      const underWay = flights.get(flight)
      if (underWay !== undefined) return underWay
      const work = usable === undefined ? judge(jwt, key, names) : recheck(jwt, key, names, usable)
      const flown = work.finally(() => flights.delete(flight))
      flights.set(flight, flown)
      return flown
    },
    close: () => {
      for (const v of verifiers.values()) v.close()
    },
  }
}

async function verifyBy(v: BearerVerifier, jwt: string): Promise<BearerVerdict> {
  try {
    const claims = await v.verify(jwt)
    return {
      kind: 'machine',
      issuer: String(claims['iss']),
      claims,
      expiresAt: (Number(claims['exp']) * 1000) as EpochMs,
    }
  } catch (e) {
    if (e instanceof ProviderUnavailable) return { kind: 'down', retryAfterS: e.retryAfterS }
    if (e instanceof ProviderRejected) return rejected(e.message)
    throw e
  }
}

function rejected(reason: string): BearerVerdict {
  return { kind: 'rejected', reason }
}

/** The claims of what looks like a signed JWT, unverified: for choosing whom to ask, never for letting in. */
function glance(jwt: string): Claims | undefined {
  const [header, payload, signature, more] = jwt.split('.')
  if (header === undefined || payload === undefined || !signature || more !== undefined) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return typeof claims === 'object' && claims !== null && !Array.isArray(claims) ? (claims as Claims) : undefined
  } catch {
    return undefined
  }
}

/** Before discovery an issuer is known as configured, where a slash at the end says nothing; `verify` compares exactly. */
function mayBe(v: BearerVerifier, iss: unknown): boolean {
  const known = v.issuer()
  const bare = (s: string): string => s.replace(/\/$/, '')
  return typeof iss === 'string' && (known.includes('{tenantid}') || bare(known) === bare(iss))
}
