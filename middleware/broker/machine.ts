import { type ServiceToken, StoreUnavailable, type TokenAnswer, type TokenId } from '../types.ts'
import { stillFits } from './audience.ts'
import { checkJwt, checkOpaque } from './check-token.ts'
import { send } from './exchange.ts'
import { isExpiringSoon, isValid } from './freshness.ts'
import { clientCredentialsParams } from './grant.ts'
import type { Parts } from './parts.ts'
import type { Target } from './types.ts'

const LEASE_MS = 15_000
const LEASE_WAIT_MS = 10_000

/** Machine tokens: one per service for all users and all replicas, from the second client (R16). */
export interface MachineTokens {
  /** At hand and valid, synchronously. */
  warm(t: Target, rejected: TokenId | undefined): { readonly token: ServiceToken; readonly soon: boolean } | undefined
  fetch(t: Target, rejected: TokenId | undefined): Promise<TokenAnswer>
}

export function createMachineTokens(p: Parts): MachineTokens {
  const cache = new Map<string, ServiceToken>()
  // A reload may give a service another client: its tokens are another machine's.
  const key = (t: Target): string => `${t.client?.clientId ?? ''} ${t.service.name}`
  const good = (t: Target, token: ServiceToken | undefined, rejected: TokenId | undefined): ServiceToken | undefined =>
    token !== undefined && token.id !== rejected && isValid(token, p.o.clock.wallMs()) && stillFits(token, t.service)
      ? token
      : undefined

  const shared = async (t: Target, rejected: TokenId | undefined): Promise<ServiceToken | undefined> => {
    const token = good(t, await p.o.vault.machineToken(key(t)).catch(ignoreStore), rejected)
    if (token !== undefined) cache.set(key(t), token)
    return token
  }

  const obtain = async (t: Target): Promise<TokenAnswer> => {
    const scope = t.service.scopes.length === 0 ? undefined : t.service.scopes
    let answer = await send(p, t, clientCredentialsParams({ service: t.service, scope }))
    if (answer.kind === 'oauth_error' && answer.error === 'invalid_scope' && scope !== undefined) {
      answer = await send(p, t, clientCredentialsParams({ service: t.service, scope: undefined }))
    }
    if (answer.kind === 'down') return { kind: 'down', what: 'provider', retryAfterS: answer.retryAfterS }
    if (answer.kind === 'oauth_error') {
      p.noteRefusal(undefined, t, answer.error, answer.description)
      return { kind: 'none', reason: answer.error }
    }
    const a = { granted: answer, asked: scope, receivedAt: p.o.clock.wallMs() }
    const checked = checkJwt(p.o, t, a) ?? (await checkOpaque(p.o, t, a))
    if (checked.kind === 'wrong') return p.dropWrong(undefined, t, checked)
    if (checked.kind === 'down') return { kind: 'down', what: 'provider', retryAfterS: checked.retryAfterS }
    cache.set(key(t), checked.token)
    // Without the store each replica has its own, which is as good.
    await p.o.vault.keepMachineToken(key(t), checked.token).catch(ignoreStore)
    return { kind: 'token', token: checked.token }
  }

  return {
    warm: (t, rejected) => {
      const token = good(t, cache.get(key(t)), rejected)
      return token === undefined ? undefined : { token, soon: isExpiringSoon(token, p.o.clock.wallMs()) }
    },
    fetch: async (t, rejected) => {
      const known = await shared(t, rejected)
      if (known !== undefined && !isExpiringSoon(known, p.o.clock.wallMs())) return { kind: 'token', token: known }
      const lease = await p.o.leases.acquireShared(`machine:${key(t)}`, LEASE_MS, LEASE_WAIT_MS).catch(ignoreStore)
      try {
        const meanwhile = await shared(t, rejected)
        if (meanwhile !== undefined && !isExpiringSoon(meanwhile, p.o.clock.wallMs()))
          return { kind: 'token', token: meanwhile }
        const answer = await obtain(t)
        return answer.kind === 'token' || meanwhile === undefined ? answer : { kind: 'token', token: meanwhile }
      } finally {
        await lease?.release().catch(() => undefined)
      }
    },
  }
}

/** A machine token needs no session, so a store that is away is no reason to be without one. */
function ignoreStore(e: unknown): undefined {
  if (e instanceof StoreUnavailable) return undefined
  throw e
}
